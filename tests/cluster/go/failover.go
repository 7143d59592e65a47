// A program as a Go user writes it for a cluster: it knows several hosts, publishes with confirms, and
// goes to the next host when its connection ends. It prints what was confirmed; the suite breaks nodes.
//
//	failover QUEUE URL URL ...
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const window = 20 // messages that wait for their confirm at a time

type publisher struct {
	queue string
	next  int
	stop  chan os.Signal
}

// session publishes until the connection ends; true when it was told to stop.
func (p *publisher) session(url string) bool {
	link, err := amqp.DialConfig(url, amqp.Config{Heartbeat: 2 * time.Second, Dial: amqp.DefaultDial(3 * time.Second)})
	if err != nil {
		fmt.Println("error", err)
		return false
	}
	defer link.Close()
	ended := link.NotifyClose(make(chan *amqp.Error, 1))
	channel, err := link.Channel()
	if err != nil {
		fmt.Println("error", err)
		return false
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, window))
	if err := channel.Confirm(false); err != nil {
		fmt.Println("error", err)
		return false
	}
	uri, _ := amqp.ParseURI(url)
	fmt.Println("connected", uri.Host)
	waiting := map[uint64]int{}
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for tag := uint64(0); ; {
		ready := pace.C
		if len(waiting) >= window {
			ready = nil
		}
		select {
		case <-ready:
			p.next++
			body := fmt.Sprintf("go %d", p.next)
			err := channel.PublishWithContext(context.Background(), "", p.queue, false, false,
				amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
			if err != nil {
				fmt.Println("error", err)
				return false
			}
			tag++
			waiting[tag] = p.next
		case confirm, open := <-confirms:
			if !open {
				fmt.Println("error", "no more confirms")
				return false
			}
			if confirm.Ack {
				fmt.Println("confirmed", waiting[confirm.DeliveryTag])
			} else {
				fmt.Println("nacked", waiting[confirm.DeliveryTag])
			}
			delete(waiting, confirm.DeliveryTag)
		case why := <-ended:
			fmt.Println("ended", why)
			return false
		case why := <-closed:
			fmt.Println("closed", why)
			return false
		case <-p.stop:
			return true
		}
	}
}

func main() {
	p := &publisher{queue: os.Args[1], stop: make(chan os.Signal, 1)}
	signal.Notify(p.stop, syscall.SIGTERM)
	for turn := 0; ; turn++ {
		urls := os.Args[2:]
		if p.session(urls[turn%len(urls)]) {
			fmt.Println("stopped")
			return
		}
		select {
		case <-p.stop:
			fmt.Println("stopped")
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
