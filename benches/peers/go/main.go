// Peer: Go's net/http, a goroutine per connection, with GOMAXPROCS as the only setting. The
// routes are those of peers/common/src/lib.rs; WebSockets (sockets.go) are gorilla's.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	hello     = "Hello, World!"
	maxSleep  = 600_000
	maxEcho   = 4 << 20
	maxChunks = 100_000
)

var (
	chunk   = []byte("thirty-two bytes make one chunk\n")
	large   = make([]byte, 256<<10)
	files   = os.Getenv("BENCH_FILES")
	waiting int64
	news    = struct {
		sync.Mutex
		next chan struct{}
	}{next: make(chan struct{})}
)

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, text)
}

func octets(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/octet-stream")
}

func number(r *http.Request, name string, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return 0
	}
	if n > most {
		return most
	}
	return n
}

// CPU time of the thread that the goroutine is locked to.
func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD of getrusage(2)
	var used syscall.Rusage
	if err := syscall.Getrusage(thread, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func compute(limit time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for until := threadTime() + limit; threadTime() < until; {
		for turn := 0; turn < 1000; turn++ {
			runtime.KeepAlive(turn)
		}
	}
}

func ticks(w http.ResponseWriter, r *http.Request) {
	octets(w)
	flusher := w.(http.Flusher)
	pause := time.Duration(number(r, "ms", 1000)) * time.Millisecond
	for n := number(r, "n", maxChunks); n > 0; n-- {
		time.Sleep(pause)
		if _, err := fmt.Fprintf(w, "t=%-29d\n", time.Now().UnixNano()); err != nil {
			return
		}
		flusher.Flush()
	}
}

func poll(w http.ResponseWriter, r *http.Request) {
	news.Lock()
	next := news.next
	news.Unlock()
	atomic.AddInt64(&waiting, 1)
	defer atomic.AddInt64(&waiting, -1)
	select {
	case <-next:
		plain(w, hello)
	case <-r.Context().Done():
	}
}

func publish(w http.ResponseWriter, _ *http.Request) {
	news.Lock()
	close(news.next)
	news.next = make(chan struct{})
	news.Unlock()
	plain(w, hello)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEcho))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	octets(w)
	w.Write(body)
}

func routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { plain(w, hello) })
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(number(r, "ms", maxSleep)) * time.Millisecond)
		plain(w, hello)
	})
	mux.HandleFunc("/compute", func(w http.ResponseWriter, r *http.Request) {
		compute(time.Duration(number(r, "ms", 1000)) * time.Millisecond)
		plain(w, hello)
	})
	mux.HandleFunc("/json", func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.Marshal(struct {
			Message string `json:"message"`
		}{hello})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(text)
	})
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		octets(w)
		for n := number(r, "n", maxChunks); n > 0; n-- {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/ticks", ticks)
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		octets(w)
		w.Write(large)
	})
	mux.HandleFunc("/file/", func(w http.ResponseWriter, r *http.Request) {
		octets(w)
		http.ServeFile(w, r, filepath.Join(files, filepath.Base(r.URL.Path)))
	})
	mux.HandleFunc("/poll", poll)
	mux.HandleFunc("/publish", publish)
	mux.HandleFunc("/waiting", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, strconv.FormatInt(atomic.LoadInt64(&waiting), 10))
	})
	sockets(mux)
	return mux
}

func main() {
	bind := flag.String("bind", "127.0.0.1:8080", "address")
	cores := flag.Int("cores", 1, "threads that run Go code at once")
	flag.Int("threads", 20, "means nothing here")
	head := flag.Int("head-timeout", 0, "milliseconds for a head")
	flag.Parse()
	runtime.GOMAXPROCS(*cores)
	for index := range large {
		large[index] = 'x'
	}
	listener, err := net.Listen("tcp", *bind)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{
		Handler:           routes(),
		ReadHeaderTimeout: time.Duration(*head) * time.Millisecond,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	log.Fatal(server.Serve(listener))
}
