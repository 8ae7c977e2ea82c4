package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Small buffers, and those for writing shared: what gorilla's docs advise for many sockets
// with small messages.
var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	WriteBufferPool: &sync.Pool{},
}

// A room as in gorilla's chat example: a channel and a writing goroutine for each member, who is
// put out when the channel is full.
var room = struct {
	sync.Mutex
	members map[chan *websocket.PreparedMessage]struct{}
}{members: map[chan *websocket.PreparedMessage]struct{}{}}

func echoSocket(w http.ResponseWriter, r *http.Request) {
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer socket.Close()
	for {
		kind, message, err := socket.ReadMessage()
		if err != nil || socket.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func join(w http.ResponseWriter, r *http.Request) {
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer socket.Close()
	messages := make(chan *websocket.PreparedMessage, 16)
	go func() {
		for message := range messages {
			if socket.WritePreparedMessage(message) != nil {
				break
			}
		}
		socket.Close()
	}()
	room.Lock()
	room.members[messages] = struct{}{}
	room.Unlock()
	for err == nil {
		_, _, err = socket.ReadMessage()
	}
	room.Lock()
	leave(messages)
	room.Unlock()
}

// The room must be locked.
func leave(member chan *websocket.PreparedMessage) {
	if _, there := room.members[member]; there {
		delete(room.members, member)
		close(member)
	}
}

func tell(w http.ResponseWriter, _ *http.Request) {
	text := fmt.Sprintf("t=%-29d\n", time.Now().UnixNano())
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, []byte(text))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	room.Lock()
	for member := range room.members {
		select {
		case member <- message:
		default:
			leave(member)
		}
	}
	room.Unlock()
	plain(w, hello)
}

func sockets(mux *http.ServeMux) {
	mux.HandleFunc("/ws", echoSocket)
	mux.HandleFunc("/room", join)
	mux.HandleFunc("/room/publish", tell)
	mux.HandleFunc("/room/members", func(w http.ResponseWriter, _ *http.Request) {
		room.Lock()
		defer room.Unlock()
		plain(w, strconv.Itoa(len(room.members)))
	})
}
