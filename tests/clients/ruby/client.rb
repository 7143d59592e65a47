# Bunny against a broker, case by case; each prints a line `ok` or `FAIL`.
require "bunny"
require "bigdecimal"
require "securerandom"
require "timeout"

OPTIONS = { host: "127.0.0.1", port: ENV["AMQP_PORT"].to_i, log_level: Logger::FATAL,
            recover_from_connection_close: false, automatically_recover: false }.freeze
$failed = false
$stdout.sync = true

def check(truth, what = "")
  raise what.to_s unless truth
end

def equal(seen, wanted, what)
  check(seen == wanted, "#{what}: seen #{seen.inspect}, wanted #{wanted.inspect}")
end

def test(name)
  Timeout.timeout(30) { yield }
  puts "ok #{name}"
rescue Exception => e
  $failed = true
  line = (e.backtrace || []).grep(/client\.rb/).reject { |l| l =~ /check|equal/ }.first
  puts "FAIL #{name}: #{line.to_s[/:(\d+):/, 1]}: #{e.class}: #{e.message.tr("\n", ' ')[0, 300]}"
end

def with(options = {})
  link = Bunny.new(OPTIONS.merge(options))
  link.start
  begin
    yield link.create_channel, link
  ensure
    link.close if link.open?
  end
end

# The broker must close the channel with this error and keep the connection.
def closes(error)
  with do |channel, link|
    closed = Queue.new
    channel.on_error { |_, close| closed << close.reply_code }
    begin
      yield channel
      # After an ack nobody waits for an answer: Bunny reports the close by itself.
      equal([closed.pop, error], [406, Bunny::PreconditionFailed], "reply code")
    rescue Bunny::ChannelLevelException => e
      equal(e.class, error, "error")
    end
    link.create_channel.queue("", exclusive: true)
  end
end

def all(queue)
  found = []
  while (_, _, body = queue.pop) && body
    found << body
  end
  found
end

test("connect") do
  with do |_, link|
    %w[publisher_confirms basic.nack connection.blocked consumer_cancel_notify].each do |key|
      equal(link.server_capabilities[key], true, key)
    end
  end
  begin
    with(password: "wrong") {}
    raise "a wrong password was taken"
  rescue Bunny::AuthenticationFailureError, Bunny::PossibleAuthenticationFailureError
  end
  begin
    with(vhost: "nowhere") {}
    raise "an unknown virtual host was taken"
  rescue Bunny::NotAllowedError, Bunny::TCPConnectionFailed, Bunny::ConnectionClosedError
  end
end

test("confirms") do
  with do |channel, _|
    queue = channel.queue("ruby.confirms", durable: true)
    channel.confirm_select
    200.times { |i| queue.publish(i.to_s, persistent: true) }
    check(channel.wait_for_confirms, "nacked")
    equal(queue.message_count, 200, "messages")
    got = Queue.new
    channel.prefetch(50)
    queue.subscribe(manual_ack: true) do |info, _, body|
      got << body
      channel.ack(info.delivery_tag)
    end
    equal(Array.new(200) { got.pop.to_i }, (0...200).to_a, "order")
    queue.delete
  end
end

test("prefetch_and_requeue") do
  with do |channel, _|
    queue = channel.queue("", exclusive: true)
    4.times { |i| queue.publish(i.to_s) }
    channel.prefetch(2)
    got = Queue.new
    queue.subscribe(manual_ack: true) { |info, _, body| got << [info, body] }
    first, second = got.pop, got.pop
    sleep 0.2 # nothing more may come
    equal(got.size, 0, "more than the prefetch")
    channel.nack(first[0].delivery_tag, false, true)
    info, body = got.pop
    equal([body, info.redelivered?], ["0", true], "requeued")
    channel.reject(second[0].delivery_tag, false)
    equal(got.pop[1], "2", "after the reject")
  end
end

test("exchanges") do
  with do |channel, _|
    fan, topic, headers = Array.new(3) { channel.queue("", exclusive: true) }
    fan.bind(channel.fanout("ruby.fan", auto_delete: true))
    topic.bind(channel.topic("ruby.topic", auto_delete: true), routing_key: "*.b.#")
    headers.bind(channel.headers("ruby.headers", auto_delete: true),
                 arguments: { "x-match" => "any", "a" => 1, "b" => "x" })
    channel.confirm_select
    channel.fanout("ruby.fan", auto_delete: true).publish("f")
    %w[a.b a.b.c b.a].each do |key|
      channel.topic("ruby.topic", auto_delete: true).publish(key, routing_key: key)
    end
    [{ "a" => 1 }, { "a" => 2 }, { "b" => "x" }].each do |table|
      channel.headers("ruby.headers", auto_delete: true).publish(table.to_s, headers: table)
    end
    check(channel.wait_for_confirms)
    equal(all(fan), ["f"], "fanout")
    equal(all(topic), %w[a.b a.b.c], "topic")
    equal(all(headers), [{ "a" => 1 }.to_s, { "b" => "x" }.to_s], "headers")
  end
end

test("rpc") do
  with do |server, _|
    with do |client, _|
      queue = server.queue("", exclusive: true)
      queue.subscribe do |_, properties, body|
        server.default_exchange.publish(body.upcase, routing_key: properties.reply_to,
                                                     correlation_id: properties.correlation_id)
      end
      got = Queue.new
      client.basic_consume("amq.rabbitmq.reply-to", "", true) do |_, properties, body|
        got << [properties.correlation_id, body]
      end
      # The queue is exclusive to the server's connection for consumers only; anybody may publish.
      client.default_exchange.publish("ask", routing_key: queue.name, correlation_id: "c",
                                             reply_to: "amq.rabbitmq.reply-to")
      equal(got.pop, %w[c ASK], "reply")
    end
  end
end

test("transactions") do
  with do |channel, _|
    queue = channel.queue("", exclusive: true)
    channel.tx_select
    queue.publish("no")
    channel.tx_rollback
    queue.publish("yes")
    equal(all(queue), [], "before")
    channel.tx_commit
    equal(all(queue), ["yes"], "after")
  end
end

test("returns") do
  with do |channel, _|
    back = Queue.new
    exchange = channel.default_exchange
    exchange.on_return { |info, _, body| back << [info.reply_code, info.reply_text, body] }
    exchange.publish("b", routing_key: "ruby.nowhere", mandatory: true)
    equal(back.pop, [312, "NO_ROUTE", "b"], "return")
  end
end

test("cancel_and_short_lives") do
  exclusive = nil
  with do |channel, link|
    exclusive = channel.queue("", exclusive: true).name
    auto = channel.queue("ruby.auto", auto_delete: true)
    auto.subscribe {}.cancel
    cancelled = Queue.new
    doomed = channel.queue("ruby.cancelled")
    doomed.subscribe(on_cancellation: ->(_) { cancelled << true }) {}
    link.create_channel.queue_delete("ruby.cancelled")
    cancelled.pop
  end
  ["ruby.auto", exclusive].each do |name|
    closes(Bunny::NotFound) { |c| c.queue_declare(name, passive: true) }
  end
end

test("large_bodies") do
  with do |channel, _|
    queue = channel.queue("", exclusive: true)
    channel.confirm_select
    [0, 131_064, 131_065, 1 << 20, 3 << 20].each do |size|
      body = SecureRandom.bytes(size)
      queue.publish(body)
      channel.wait_for_confirms
      check((queue.pop[2] || "") == body, "size #{size}")
    end
  end
end

test("header_table") do
  with do |channel, _|
    queue = channel.queue("", exclusive: true)
    headers = { "string" => "s", "int" => 5, "negative" => -5, "big" => 1 << 40, "float" => 2.5,
                "true" => true, "false" => false, "nil" => nil, "time" => Time.at(1_700_000_000),
                "list" => [1, "two", [3]], "table" => { "a" => { "b" => 1 } } }
    properties = { content_type: "a", content_encoding: "b", priority: 3, correlation_id: "c",
                   reply_to: "d", expiration: "60000", message_id: "e", type: "f", user_id: "guest",
                   app_id: "g", timestamp: 1_700_000_000 }
    queue.publish("x", properties.merge(headers: headers, persistent: true))
    _, got, = queue.pop
    equal(got[:headers], headers, "headers")
    equal(got[:delivery_mode], 2, "delivery_mode")
    properties.each { |key, value| equal(got[key].is_a?(Time) ? got[key].to_i : got[key], value, key) }
  end
end

test("channel_errors") do
  closes(Bunny::NotFound) { |c| c.basic_consume("ruby.missing") {} }
  closes(Bunny::NotFound) do |c|
    c.basic_publish("", "ruby.missing.x", "k")
    c.basic_qos(1) # Bunny reports the close to the next call that waits
  end
  closes(Bunny::AccessRefused) { |c| c.queue_declare("amq.mine") }
  closes(Bunny::PreconditionFailed) do |c|
    c.queue_declare("ruby.same", exclusive: true)
    c.queue_declare("ruby.same", exclusive: true, auto_delete: true)
  end
  closes(Bunny::PreconditionFailed) { |c| c.basic_ack(9) }
  with do |holder, _|
    held = holder.queue("", exclusive: true).name
    closes(Bunny::ResourceLocked) { |c| c.queue_declare(held, passive: true) }
  end
end

# Bunny's own recovery: the socket breaks, topology and consumers come back.
test("recovery") do
  with(automatically_recover: true, network_recovery_interval: 0.2) do |channel, link|
    queue = channel.queue("ruby.recovered", auto_delete: true).bind("amq.direct", routing_key: "ruby.r")
    got = Queue.new
    queue.subscribe { |_, _, body| got << body }
    link.transport.socket.shutdown
    Timeout.timeout(15) { sleep 0.05 while link.open? } rescue nil
    Timeout.timeout(15) { sleep 0.05 until link.open? && channel.open? }
    with do |other, _|
      until got.size.positive?
        other.direct("amq.direct", durable: true).publish("after", routing_key: "ruby.r")
        sleep 0.1
      end
    end
    equal(got.pop, "after", "message")
  end
end

exit($failed ? 1 : 0)
