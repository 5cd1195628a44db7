// Command doorfloor is the least a Go daemon behind auth_request can do: read
// to the end of a head, answer 204. The benchmark of the doors stands on it.
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"net"
)

func main() {
	socket := flag.String("socket", "", "Unix socket to answer on")
	flag.Parse()
	l, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go answer(nc)
	}
}

func answer(nc net.Conn) {
	defer nc.Close()
	buf := make([]byte, 64<<10)
	n := 0
	for {
		read, err := nc.Read(buf[n:])
		if err != nil {
			return
		}
		n += read
		if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			n = 0
			if _, err := io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
				return
			}
		} else if n == len(buf) {
			return
		}
	}
}
