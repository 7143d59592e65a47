// The Go client (amqp091) against a broker, case by case; each prints a line `ok` or `FAIL`.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var url = "amqp://guest:guest@127.0.0.1:" + os.Getenv("AMQP_PORT") + "/"
var background = context.Background()
var failed = false

func check(truth bool, what ...interface{}) {
	if !truth {
		panic(fmt.Sprint(what...))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(seen, wanted interface{}, what string) {
	check(reflect.DeepEqual(seen, wanted), fmt.Sprintf("%s: seen %#v, wanted %#v", what, seen, wanted))
}

func test(name string, body func()) {
	defer func() {
		if why := recover(); why != nil {
			failed = true
			where := ""
			for _, line := range strings.Split(string(debug.Stack()), "\n") {
				if strings.Contains(line, "main.go:") && !strings.Contains(line, "main.go:3") {
					where = strings.TrimSpace(line)
				}
			}
			fmt.Printf("FAIL %s: %v (%s)\n", name, why, where)
		}
	}()
	body()
	fmt.Println("ok", name)
}

func with(use func(link *amqp.Connection, channel *amqp.Channel)) {
	link, err := amqp.Dial(url)
	must(err)
	defer link.Close()
	channel, err := link.Channel()
	must(err)
	use(link, channel)
}

// closes demands that the broker closes the channel with this code and keeps the connection.
func closes(code int, use func(channel *amqp.Channel)) {
	with(func(link *amqp.Connection, channel *amqp.Channel) {
		closed := channel.NotifyClose(make(chan *amqp.Error, 1))
		use(channel)
		select {
		case why := <-closed:
			equal(why.Code, code, "reply code")
		case <-time.After(10 * time.Second):
			panic(fmt.Sprint("not closed, wanted ", code))
		}
		_, err := link.Channel()
		must(err)
	})
}

func queue(channel *amqp.Channel, name string, durable bool, args amqp.Table) string {
	made, err := channel.QueueDeclare(name, durable, false, name == "", false, args)
	must(err)
	return made.Name
}

func publish(channel *amqp.Channel, exchange, key, body string) {
	must(channel.PublishWithContext(background, exchange, key, false, false, amqp.Publishing{Body: []byte(body)}))
}

func next(from <-chan amqp.Delivery) amqp.Delivery {
	select {
	case got, open := <-from:
		check(open, "the channel has ended")
		return got
	case <-time.After(10 * time.Second):
		panic("no message within 10 s")
	}
}

func all(channel *amqp.Channel, queue string) []string {
	found := []string{}
	for {
		got, some, err := channel.Get(queue, true)
		must(err)
		if !some {
			return found
		}
		found = append(found, string(got.Body))
	}
}

func connect() {
	with(func(link *amqp.Connection, _ *amqp.Channel) {
		capabilities := link.Properties["capabilities"].(amqp.Table)
		for _, key := range []string{"publisher_confirms", "basic.nack", "connection.blocked", "consumer_cancel_notify"} {
			equal(capabilities[key], true, key)
		}
	})
	_, err := amqp.Dial(strings.Replace(url, "guest:guest", "guest:wrong", 1))
	check(errors.Is(err, amqp.ErrCredentials), err)
	_, err = amqp.Dial(url + "nowhere")
	check(err != nil, "an unknown virtual host was taken")
}

func confirms() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		queue(channel, "go.confirms", true, nil)
		must(channel.Confirm(false))
		waiting := []*amqp.DeferredConfirmation{}
		for i := 0; i < 300; i++ {
			one, err := channel.PublishWithDeferredConfirmWithContext(background, "", "go.confirms", false, false,
				amqp.Publishing{Body: []byte(fmt.Sprint(i)), DeliveryMode: amqp.Persistent})
			must(err)
			waiting = append(waiting, one)
		}
		for _, one := range waiting {
			check(one.Wait(), "nacked")
		}
		got, err := channel.Consume("go.confirms", "", false, false, false, false, nil)
		must(err)
		for i := 0; i < 300; i++ {
			one := next(got)
			equal(string(one.Body), fmt.Sprint(i), "order")
			if i%100 == 99 {
				must(one.Ack(true))
			}
		}
		_, err = channel.QueueDelete("go.confirms", false, false, false)
		must(err)
	})
}

func prefetchAndRequeue() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		name := queue(channel, "", false, nil)
		for i := 0; i < 4; i++ {
			publish(channel, "", name, fmt.Sprint(i))
		}
		must(channel.Qos(2, 0, false))
		got, err := channel.Consume(name, "", false, false, false, false, nil)
		must(err)
		first, second := next(got), next(got)
		select {
		case <-got:
			panic("more than the prefetch")
		case <-time.After(300 * time.Millisecond):
		}
		must(first.Nack(false, true))
		again := next(got)
		equal(string(again.Body)+fmt.Sprint(again.Redelivered), "0true", "requeued")
		must(second.Reject(false))
		equal(string(next(got).Body), "2", "after the reject")
		must(again.Ack(false))
		equal(string(next(got).Body), "3", "last")
	})
}

func exchanges() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		must(channel.ExchangeDeclare("go.fan", "fanout", false, true, false, false, nil))
		must(channel.ExchangeDeclare("go.topic", "topic", false, true, false, false, nil))
		must(channel.ExchangeDeclare("go.headers", "headers", false, true, false, false, nil))
		must(channel.ExchangeBind("go.topic", "#", "go.fan", false, nil))
		fan, topic, headers := queue(channel, "", false, nil), queue(channel, "", false, nil), queue(channel, "", false, nil)
		must(channel.QueueBind(fan, "", "go.fan", false, nil))
		must(channel.QueueBind(topic, "a.*.c", "go.topic", false, nil))
		must(channel.QueueBind(headers, "", "go.headers", false, amqp.Table{"x-match": "any", "k": "v", "n": int32(1)}))
		must(channel.Confirm(false))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 10))
		publish(channel, "go.fan", "a.b.c", "1")
		publish(channel, "go.fan", "a.b.d", "2")
		for _, table := range []amqp.Table{{"k": "v"}, {"k": "w"}, {"n": int64(1)}} {
			must(channel.PublishWithContext(background, "go.headers", "", false, false,
				amqp.Publishing{Headers: table, Body: []byte(fmt.Sprint(table))}))
		}
		for i := 0; i < 5; i++ {
			check((<-confirms).Ack, "nacked")
		}
		equal(all(channel, fan), []string{"1", "2"}, "fanout")
		equal(all(channel, topic), []string{"1"}, "topic behind it")
		equal(all(channel, headers), []string{"map[k:v]", "map[n:1]"}, "headers")
	})
}

func rpc() {
	with(func(_ *amqp.Connection, server *amqp.Channel) {
		with(func(_ *amqp.Connection, client *amqp.Channel) {
			name := queue(server, "", false, nil)
			requests, err := server.Consume(name, "", true, false, false, false, nil)
			must(err)
			replies, err := client.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
			must(err)
			must(client.PublishWithContext(background, "", name, false, false, amqp.Publishing{
				ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "c1", Body: []byte("ask")}))
			request := next(requests)
			must(server.PublishWithContext(background, "", request.ReplyTo, false, false, amqp.Publishing{
				CorrelationId: request.CorrelationId, Body: []byte("answer")}))
			reply := next(replies)
			equal(reply.CorrelationId+string(reply.Body), "c1answer", "reply")
		})
	})
}

func transactions() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		name := queue(channel, "", false, nil)
		must(channel.Tx())
		publish(channel, "", name, "no")
		must(channel.TxRollback())
		publish(channel, "", name, "yes")
		equal(len(all(channel, name)), 0, "before the commit")
		must(channel.TxCommit())
		got, _, err := channel.Get(name, false)
		must(err)
		equal(string(got.Body), "yes", "committed")
		must(got.Ack(false))
		must(channel.TxCommit())
		equal(len(all(channel, name)), 0, "after the ack")
	})
}

func returns() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		back := channel.NotifyReturn(make(chan amqp.Return, 1))
		must(channel.PublishWithContext(background, "", "go.nowhere", true, false, amqp.Publishing{Body: []byte("b")}))
		select {
		case one := <-back:
			equal(fmt.Sprint(one.ReplyCode, one.ReplyText, one.RoutingKey, string(one.Body)), "312NO_ROUTEgo.nowhereb", "return")
		case <-time.After(10 * time.Second):
			panic("not returned")
		}
	})
}

func cancelAndShortLives() {
	var exclusive string
	with(func(link *amqp.Connection, channel *amqp.Channel) {
		exclusive = queue(channel, "", false, nil)
		_, err := channel.QueueDeclare("go.auto", false, true, false, false, nil)
		must(err)
		cancelled := channel.NotifyCancel(make(chan string, 1))
		queue(channel, "go.cancelled", false, nil)
		_, err = channel.Consume("go.cancelled", "tag", true, false, false, false, nil)
		must(err)
		other, err := link.Channel()
		must(err)
		_, err = other.QueueDelete("go.cancelled", false, false, false)
		must(err)
		select {
		case tag := <-cancelled:
			equal(tag, "tag", "cancelled")
		case <-time.After(10 * time.Second):
			panic("no cancel")
		}
		_, err = channel.Consume("go.auto", "auto", true, false, false, false, nil)
		must(err)
		must(channel.Cancel("auto", false))
	})
	for _, name := range []string{exclusive, "go.auto"} {
		closes(404, func(c *amqp.Channel) { c.QueueDeclarePassive(name, false, false, false, false, nil) })
	}
}

func largeBodies() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		name := queue(channel, "", false, nil)
		got, err := channel.Consume(name, "", true, false, false, false, nil)
		must(err)
		for _, size := range []int{0, 131064, 131065, 1 << 20, 6 << 20} {
			body := make([]byte, size)
			rand.Read(body)
			publish(channel, "", name, string(body))
			check(bytes.Equal(next(got).Body, body), "size ", size)
		}
	})
}

func headerTable() {
	with(func(_ *amqp.Connection, channel *amqp.Channel) {
		name := queue(channel, "", false, nil)
		at := time.Unix(1700000000, 0)
		sent := amqp.Publishing{ContentType: "a", ContentEncoding: "b", DeliveryMode: 2, Priority: 3,
			CorrelationId: "c", ReplyTo: "d", Expiration: "60000", MessageId: "e", Timestamp: at, Type: "f",
			UserId: "guest", AppId: "g", Headers: amqp.Table{"bool": true, "byte": byte(200), "int8": int8(-5),
				"int16": int16(-300), "int32": int32(7), "int64": int64(1) << 40, "float32": float32(1.5), "float64": 2.25,
				"string": "s", "bytes": []byte{0, 255}, "time": at, "nil": nil, "decimal": amqp.Decimal{Scale: 2, Value: 314},
				"table": amqp.Table{"deep": amqp.Table{"x": int32(1)}}, "list": []interface{}{int32(1), "two", nil}}}
		must(channel.PublishWithContext(background, "", name, false, false, sent))
		got, some, err := channel.Get(name, true)
		must(err)
		check(some, "nothing there")
		equal(got.Headers, sent.Headers, "headers")
		equal([]interface{}{got.ContentType, got.ContentEncoding, got.DeliveryMode, got.Priority, got.CorrelationId,
			got.ReplyTo, got.Expiration, got.MessageId, got.Timestamp, got.Type, got.UserId, got.AppId},
			[]interface{}{"a", "b", uint8(2), uint8(3), "c", "d", "60000", "e", at, "f", "guest", "g"}, "properties")
	})
}

func channelErrors() {
	closes(404, func(c *amqp.Channel) { c.Consume("go.missing", "", true, false, false, false, nil) })
	closes(404, func(c *amqp.Channel) { publish(c, "go.missing", "", "") })
	closes(403, func(c *amqp.Channel) { c.QueueDeclare("amq.mine", false, false, false, false, nil) })
	closes(406, func(c *amqp.Channel) { c.Ack(9, false) })
	closes(406, func(c *amqp.Channel) {
		c.QueueDeclare("go.same", false, true, true, false, nil)
		c.QueueDeclare("go.same", false, false, true, false, nil)
	})
	with(func(_ *amqp.Connection, holder *amqp.Channel) {
		held := queue(holder, "", false, nil)
		closes(405, func(c *amqp.Channel) { c.QueueDeclarePassive(held, false, false, false, false, nil) })
	})
}

// connectionError: the broker closes the whole connection; afterwards a new one works.
func connectionError() {
	link, err := amqp.DialConfig(url, amqp.Config{Heartbeat: time.Second})
	must(err)
	closed := link.NotifyClose(make(chan *amqp.Error, 1))
	channel, err := link.Channel()
	must(err)
	// immediate is not implemented: 540, and the connection goes.
	// The header follows the method, so the client may meet the close while it still writes.
	err = channel.PublishWithContext(background, "", "go.nowhere", false, true, amqp.Publishing{})
	check(err == nil || errors.Is(err, amqp.ErrClosed), fmt.Sprintf("publish: %v", err))
	select {
	case why := <-closed:
		equal(why.Code, 540, "reply code")
	case <-time.After(10 * time.Second):
		panic("not closed")
	}
	with(func(_ *amqp.Connection, c *amqp.Channel) { queue(c, "", false, nil) })
}

func main() {
	test("connect", connect)
	test("confirms", confirms)
	test("prefetch_and_requeue", prefetchAndRequeue)
	test("exchanges", exchanges)
	test("rpc", rpc)
	test("transactions", transactions)
	test("returns", returns)
	test("cancel_and_short_lives", cancelAndShortLives)
	test("large_bodies", largeBodies)
	test("header_table", headerTable)
	test("channel_errors", channelErrors)
	test("connection_error", connectionError)
	if failed {
		os.Exit(1)
	}
}
