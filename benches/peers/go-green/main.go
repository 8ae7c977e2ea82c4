// One workload of benches/green with goroutines: go-green NAME WORKERS TIMES.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	name := strings.Split(os.Args[1], "-")[0]
	runtime.GOMAXPROCS(number(os.Args[2]))
	times := number(os.Args[3])
	if name == "sleepers" {
		sleepers(times)
		return
	}
	work(name, times/10) // warms up
	begun := time.Now()
	work(name, times)
	fmt.Printf("nanos %.1f\n", nanos(begun, times))
}

func nanos(begun time.Time, times int) float64 {
	return float64(time.Since(begun).Nanoseconds()) / float64(times)
}

func work(name string, times int) {
	switch name {
	case "spawn":
		for n := 0; n < times; n++ {
			done := make(chan struct{})
			go func() { close(done) }()
			<-done
		}
	case "batch":
		for n := 0; n < (times+999)/1000; n++ {
			var all sync.WaitGroup
			all.Add(1000)
			for m := 0; m < 1000; m++ {
				go all.Done()
			}
			all.Wait()
		}
	case "yield":
		yields := func() {
			for n := 0; n < times/2; n++ {
				runtime.Gosched()
			}
		}
		done := make(chan struct{})
		go func() { yields(); close(done) }()
		yields()
		<-done
	case "pingpong":
		pingPong(times, func() {})
	case "unblock":
		// What runs on an OS thread of its own.
		pingPong(times, runtime.LockOSThread)
	default:
		fmt.Println("reason Go has nothing like", name)
		os.Exit(0)
	}
}

func pingPong(times int, begin func()) {
	there, back := make(chan int, 1), make(chan int, 1)
	done := make(chan struct{})
	go func() {
		begin()
		for n := range there {
			back <- n
		}
		close(done)
	}()
	for n := 0; n < times; n++ {
		there <- n
		if <-back != n {
			panic("another answer")
		}
	}
	close(there)
	<-done
}

func sleepers(times int) {
	var asleep atomic.Int64
	before := resident()
	begun := time.Now()
	for n := 0; n < times; n++ {
		go func() {
			asleep.Add(1)
			time.Sleep(time.Hour)
		}()
	}
	for asleep.Load() < int64(times) {
		runtime.Gosched()
	}
	each := nanos(begun, times)
	fmt.Printf("nanos %.1f bytes %d\n", each, (resident()-before)/times)
}

// Resident bytes of this process.
func resident() int {
	sizes, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	return number(strings.Fields(string(sizes))[1]) * os.Getpagesize()
}
