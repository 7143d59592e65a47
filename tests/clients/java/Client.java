import com.rabbitmq.client.*;
import com.rabbitmq.client.impl.LongStringHelper;
import java.math.BigDecimal;
import java.util.*;
import java.util.concurrent.*;

/** The Java client against a broker, case by case; each prints a line `ok` or `FAIL`. */
public class Client {
  interface Body {
    void run() throws Exception;
  }

  interface Use {
    void run(Channel channel) throws Exception;
  }

  static final ConnectionFactory factory = new ConnectionFactory();
  static int failed = 0;

  static void check(boolean truth, Object... what) {
    if (!truth) throw new AssertionError(Arrays.toString(what));
  }

  static void equal(Object seen, Object wanted, String what) {
    check(Objects.equals(seen, wanted), what, "seen", seen, "wanted", wanted);
  }

  static void test(String name, Body body) {
    try {
      body.run();
      System.out.println("ok " + name);
    } catch (Throwable why) {
      failed++;
      StackTraceElement[] at = why.getStackTrace();
      String where = "";
      for (StackTraceElement e : at)
        if (e.getClassName().equals("Client") && !e.getMethodName().matches("check|equal")) {
          where = " line " + e.getLineNumber();
          break;
        }
      String text = (why + (why.getCause() == null ? "" : " / " + why.getCause()));
      System.out.println("FAIL " + name + ":" + where + ": " + text.replace('\n', ' '));
    }
  }

  /** A connection of its own with one channel, closed afterwards unless the broker did it. */
  static void with(Use use) throws Exception {
    Connection link = factory.newConnection("java client");
    try {
      use.run(link.createChannel());
    } finally {
      if (link.isOpen()) link.close();
    }
  }

  static ShutdownSignalException shutdown(Throwable why) {
    for (; why != null; why = why.getCause())
      if (why instanceof ShutdownSignalException) return (ShutdownSignalException) why;
    return null;
  }

  /** The broker must close the channel with this code, and the connection must live on. */
  static void closes(int code, Use use) throws Exception {
    with(channel -> {
      CompletableFuture<ShutdownSignalException> closed = new CompletableFuture<>();
      channel.addShutdownListener(closed::complete);
      try {
        use.run(channel);
      } catch (java.io.IOException | AlreadyClosedException why) {
        check(shutdown(why) != null, why);
      }
      AMQP.Channel.Close close = (AMQP.Channel.Close) closed.get(10, TimeUnit.SECONDS).getReason();
      equal(close.getReplyCode(), code, "reply code");
      channel.getConnection().createChannel().queueDeclare();
    });
  }

  /** Gathers deliveries. */
  static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean ack) throws Exception {
    BlockingQueue<Delivery> got = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, ack, new DefaultConsumer(channel) {
      @Override
      public void handleDelivery(String tag, Envelope e, AMQP.BasicProperties p, byte[] body) {
        got.add(new Delivery(e, p, body));
      }
    });
    return got;
  }

  static class Delivery {
    final Envelope envelope;
    final AMQP.BasicProperties properties;
    final byte[] body;

    Delivery(Envelope e, AMQP.BasicProperties p, byte[] b) {
      envelope = e;
      properties = p;
      body = b;
    }

    String text() {
      return new String(body);
    }
  }

  static Delivery next(BlockingQueue<Delivery> from) throws Exception {
    Delivery one = from.poll(10, TimeUnit.SECONDS);
    check(one != null, "no message within 10 s");
    return one;
  }

  static List<String> all(Channel channel, String queue) throws Exception {
    List<String> found = new ArrayList<>();
    for (GetResponse got; (got = channel.basicGet(queue, true)) != null; )
      found.add(new String(got.getBody()));
    return found;
  }

  static void connect() throws Exception {
    with(channel -> {
      Map<String, Object> properties = channel.getConnection().getServerProperties();
      Map<?, ?> capabilities = (Map<?, ?>) properties.get("capabilities");
      for (String key : List.of("publisher_confirms", "basic.nack", "connection.blocked",
          "consumer_cancel_notify", "exchange_exchange_bindings", "authentication_failure_close"))
        equal(capabilities.get(key), true, key);
      check(properties.get("product") != null);
    });
    ConnectionFactory wrong = factory.clone();
    wrong.setPassword("wrong");
    try {
      wrong.newConnection();
      throw new AssertionError("a wrong password was taken");
    } catch (AuthenticationFailureException expected) {
    }
    wrong = factory.clone();
    wrong.setVirtualHost("nowhere");
    try {
      wrong.newConnection();
      throw new AssertionError("an unknown virtual host was taken");
    } catch (java.io.IOException why) {
      equal(((AMQP.Connection.Close) shutdown(why).getReason()).getReplyCode(), 530, "code");
    }
  }

  static void declareAndBind() throws Exception {
    with(channel -> {
      channel.queueDeclare("java.declare", true, false, false, Map.of("x-max-length", 10));
      equal(channel.queueDeclarePassive("java.declare").getMessageCount(), 0, "messages");
      channel.exchangeDeclare("java.x1", BuiltinExchangeType.DIRECT, true);
      channel.exchangeDeclare("java.x2", BuiltinExchangeType.FANOUT);
      channel.exchangeBind("java.x1", "java.x2", "");
      channel.queueBind("java.declare", "java.x1", "k");
      channel.confirmSelect();
      channel.basicPublish("java.x2", "k", null, "through two".getBytes());
      channel.waitForConfirmsOrDie(10000);
      equal(all(channel, "java.declare"), List.of("through two"), "routed");
      channel.exchangeUnbind("java.x1", "java.x2", "");
      channel.queueUnbind("java.declare", "java.x1", "k");
      channel.exchangeDelete("java.x1");
      channel.exchangeDelete("java.x2");
      equal(channel.messageCount("java.declare"), 0L, "messages");
      channel.queueDelete("java.declare");
    });
  }

  static void confirms() throws Exception {
    with(channel -> {
      channel.queueDeclare("java.confirms", true, false, false, null);
      ConcurrentSkipListSet<Long> open = new ConcurrentSkipListSet<>();
      channel.addConfirmListener(new ConfirmListener() {
        public void handleAck(long tag, boolean multiple) {
          if (multiple) open.headSet(tag, true).clear();
          else open.remove(tag);
        }

        public void handleNack(long tag, boolean multiple) {}
      });
      channel.confirmSelect();
      for (int i = 0; i < 500; i++) {
        open.add(channel.getNextPublishSeqNo());
        channel.basicPublish("", "java.confirms", MessageProperties.PERSISTENT_TEXT_PLAIN,
            ("" + i).getBytes());
      }
      check(channel.waitForConfirms(10000), "nacked");
      check(open.isEmpty(), "not confirmed", open);
      BlockingQueue<Delivery> got = consume(channel, "java.confirms", false);
      for (int i = 0; i < 500; i++) {
        Delivery one = next(got);
        equal(one.text(), "" + i, "order");
        if (i % 50 == 49) channel.basicAck(one.envelope.getDeliveryTag(), true);
      }
      channel.queueDelete("java.confirms");
    });
  }

  static void prefetchAndRequeue() throws Exception {
    with(channel -> {
      channel.queueDeclare("java.prefetch", false, false, false, null);
      for (int i = 0; i < 5; i++) channel.basicPublish("", "java.prefetch", null, ("" + i).getBytes());
      channel.basicQos(2);
      BlockingQueue<Delivery> got = consume(channel, "java.prefetch", false);
      Delivery first = next(got), second = next(got);
      check(got.poll(300, TimeUnit.MILLISECONDS) == null, "more than the prefetch");
      channel.basicNack(first.envelope.getDeliveryTag(), false, true);
      Delivery again = next(got);
      equal(again.text() + again.envelope.isRedeliver(), "0true", "requeued");
      channel.basicReject(second.envelope.getDeliveryTag(), false);
      equal(next(got).text(), "2", "after the reject");
      channel.basicRecover(true);
      Set<String> back = new TreeSet<>();
      for (int i = 0; i < 2; i++) {
        Delivery one = next(got);
        check(one.envelope.isRedeliver());
        back.add(one.text());
      }
      equal(back, Set.of("0", "2"), "recovered");
      channel.queueDelete("java.prefetch");
    });
  }

  static void exchanges() throws Exception {
    with(channel -> {
      String fan1 = channel.queueDeclare().getQueue(), fan2 = channel.queueDeclare().getQueue();
      channel.queueBind(fan1, "amq.fanout", "");
      channel.queueBind(fan2, "amq.fanout", "");
      String topic = channel.queueDeclare().getQueue();
      channel.queueBind(topic, "amq.topic", "java.*.x");
      channel.queueBind(topic, "amq.topic", "java.deep.#");
      String headers = channel.queueDeclare().getQueue();
      channel.queueBind(headers, "amq.headers", "", Map.of("x-match", "all", "java", 1, "k", "v"));
      channel.confirmSelect();
      channel.basicPublish("amq.fanout", "java", null, "fan".getBytes());
      for (String key : List.of("java.a.x", "java.a.y", "java.deep", "java.deep.er.still", "java.deep.x"))
        channel.basicPublish("amq.topic", key, null, key.getBytes());
      for (Map<String, Object> h : List.<Map<String, Object>>of(Map.of("java", 1, "k", "v", "more", 2), Map.of("java", 1)))
        channel.basicPublish("amq.headers", "", new AMQP.BasicProperties.Builder().headers(h).build(),
            ("" + h.size()).getBytes());
      channel.waitForConfirmsOrDie(10000);
      check(all(channel, fan1).contains("fan") && all(channel, fan2).contains("fan"), "fanout");
      equal(all(channel, topic), List.of("java.a.x", "java.deep", "java.deep.er.still", "java.deep.x"), "topic");
      equal(all(channel, headers), List.of("3"), "headers");
    });
  }

  static void rpc() throws Exception {
    with(server -> with(client -> {
      server.queueDeclare("java.rpc", false, false, true, null);
      RpcServer answering = new StringRpcServer(server, "java.rpc") {
        @Override
        public String handleStringCall(String request, AMQP.BasicProperties reply) {
          return request + "!";
        }
      };
      Thread loop = new Thread(() -> {
        try {
          answering.mainloop();
        } catch (Exception ended) {
          // closed with its channel
        }
      });
      loop.start();
      // RpcClient asks through amq.rabbitmq.reply-to.
      RpcClient asking = new RpcClient(client, "", "java.rpc", 10000);
      for (int i = 0; i < 20; i++) equal(asking.stringCall("q" + i), "q" + i + "!", "answer");
      answering.terminateMainloop();
    }));
  }

  static void transactions() throws Exception {
    with(channel -> {
      String queue = channel.queueDeclare().getQueue();
      channel.txSelect();
      channel.basicPublish("", queue, null, "no".getBytes());
      channel.txRollback();
      channel.basicPublish("", queue, null, "yes".getBytes());
      check(channel.basicGet(queue, true) == null, "seen before the commit");
      channel.txCommit();
      GetResponse got = channel.basicGet(queue, false);
      equal(new String(got.getBody()), "yes", "committed");
      channel.basicAck(got.getEnvelope().getDeliveryTag(), false);
      channel.txCommit();
      check(channel.basicGet(queue, false) == null);
    });
  }

  static void returns() throws Exception {
    with(channel -> {
      BlockingQueue<String> back = new LinkedBlockingQueue<>();
      channel.addReturnListener((code, text, exchange, key, properties, body) ->
          back.add(code + text + exchange + key + new String(body)));
      channel.confirmSelect();
      channel.basicPublish("", "java.nowhere", true, null, "b".getBytes());
      channel.waitForConfirmsOrDie(10000);  // the return comes before the confirm
      equal(back.poll(), "312NO_ROUTEjava.nowhereb", "return");
    });
  }

  static void cancelAndShortLives() throws Exception {
    String[] exclusive = new String[1];
    with(channel -> {
      exclusive[0] = channel.queueDeclare().getQueue();
      channel.queueDeclare("java.auto", false, false, true, null);
      channel.queueDeclare("java.cancelled", false, false, false, null);
      CompletableFuture<String> cancelled = new CompletableFuture<>();
      String tag = channel.basicConsume("java.cancelled", true, new DefaultConsumer(channel) {
        @Override
        public void handleCancel(String consumer) {
          cancelled.complete(consumer);
        }
      });
      Channel other = channel.getConnection().createChannel();
      other.queueDelete("java.cancelled");
      equal(cancelled.get(10, TimeUnit.SECONDS), tag, "cancelled");
      String auto = channel.basicConsume("java.auto", new DefaultConsumer(channel));
      channel.basicCancel(auto);
    });
    closes(404, c -> c.queueDeclarePassive("java.auto"));
    closes(404, c -> c.queueDeclarePassive(exclusive[0]));
  }

  static void largeBodies() throws Exception {
    with(channel -> {
      String queue = channel.queueDeclare().getQueue();
      Random random = new Random(7);
      channel.confirmSelect();
      for (int size : new int[] {0, 131064, 131065, 1 << 20, 4 << 20}) {
        byte[] body = new byte[size];
        random.nextBytes(body);
        channel.basicPublish("", queue, null, body);
        channel.waitForConfirmsOrDie(10000);
        check(Arrays.equals(channel.basicGet(queue, true).getBody(), body), "size", size);
      }
    });
  }

  static void headerTable() throws Exception {
    with(channel -> {
      String queue = channel.queueDeclare().getQueue();
      Map<String, Object> sent = new HashMap<>();
      sent.put("string", LongStringHelper.asLongString("s"));
      sent.put("int", 5);
      sent.put("long", 1L << 40);
      sent.put("short", (short) -3);
      sent.put("byte", (byte) -2);
      sent.put("bool", true);
      sent.put("float", 1.5f);
      sent.put("double", 2.25);
      sent.put("decimal", new BigDecimal("12.34"));
      sent.put("date", new Date(1700000000000L));
      sent.put("null", null);
      sent.put("list", List.of(1, true, LongStringHelper.asLongString("x")));
      sent.put("table", Map.of("inner", Map.of("deep", 1)));
      AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().headers(sent)
          .contentType("a/b").contentEncoding("c").deliveryMode(2).priority(9).correlationId("d")
          .replyTo("e").expiration("60000").messageId("f").timestamp(new Date(1700000001000L))
          .type("g").userId("guest").appId("h").clusterId("i").build();
      channel.basicPublish("", queue, properties, new byte[0]);
      Delivery got = next(consume(channel, queue, true));
      equal(new TreeMap<>(got.properties.getHeaders()), new TreeMap<>(sent), "headers");
      equal(got.properties.toString(), properties.toString().replace(sent.toString(),
          got.properties.getHeaders().toString()), "properties");
    });
  }

  static void channelErrors() throws Exception {
    closes(404, c -> c.basicConsume("java.missing", new DefaultConsumer(c)));
    closes(404, c -> c.basicPublish("java.missing", "", null, new byte[0]));
    closes(403, c -> c.queueDeclare("amq.mine", false, false, false, null));
    closes(406, c -> {
      c.queueDeclare("java.same", false, true, false, null);
      c.queueDeclare("java.same", false, true, false, Map.of("x-message-ttl", 5));
    });
    closes(406, c -> c.basicAck(7, false));
    with(holder -> {
      String held = holder.queueDeclare().getQueue();
      closes(405, c -> c.basicConsume(held, new DefaultConsumer(c)));
    });
    with(c -> {
      String queue = c.queueDeclare("java.only", false, false, true, null).getQueue();
      c.basicConsume(queue, false, "t", false, true, null, new DefaultConsumer(c));
      closes(403, other -> other.basicConsume(queue, new DefaultConsumer(other)));
    });
  }

  /** The client's own recovery: its connection is closed under it, topology and consumer come back. */
  static void recovery() throws Exception {
    ConnectionFactory recovering = factory.clone();
    recovering.setAutomaticRecoveryEnabled(true);
    recovering.setNetworkRecoveryInterval(200);
    Connection link = recovering.newConnection();
    CountDownLatch recovered = new CountDownLatch(1);
    ((Recoverable) link).addRecoveryListener(new RecoveryListener() {
      public void handleRecovery(Recoverable r) {
        recovered.countDown();
      }

      public void handleRecoveryStarted(Recoverable r) {}
    });
    Channel channel = link.createChannel();
    String queue = channel.queueDeclare("", false, true, true, null).getQueue();
    channel.queueBind(queue, "amq.direct", "java.recover");
    BlockingQueue<Delivery> got = consume(channel, queue, true);
    // A frame of a kind that does not exist: the broker closes the whole connection.
    Channel doomed = link.createChannel();
    com.rabbitmq.client.impl.AMQConnection raw = (com.rabbitmq.client.impl.AMQConnection)
        ((com.rabbitmq.client.impl.recovery.AutorecoveringConnection) link).getDelegate();
    raw.writeFrame(new com.rabbitmq.client.impl.Frame(AMQP.FRAME_HEADER, doomed.getChannelNumber(), new byte[14]));
    raw.flush();
    check(recovered.await(15, TimeUnit.SECONDS), "not recovered");
    channel.basicPublish("amq.direct", "java.recover", null, "after".getBytes());
    equal(next(got).text(), "after", "message");
    link.close();
  }

  public static void main(String[] args) throws Exception {
    factory.setHost("127.0.0.1");
    factory.setPort(Integer.parseInt(System.getenv("AMQP_PORT")));
    factory.setAutomaticRecoveryEnabled(false);
    test("connect", Client::connect);
    test("declare_and_bind", Client::declareAndBind);
    test("confirms", Client::confirms);
    test("prefetch_and_requeue", Client::prefetchAndRequeue);
    test("exchanges", Client::exchanges);
    test("rpc", Client::rpc);
    test("transactions", Client::transactions);
    test("returns", Client::returns);
    test("cancel_and_short_lives", Client::cancelAndShortLives);
    test("large_bodies", Client::largeBodies);
    test("header_table", Client::headerTable);
    test("channel_errors", Client::channelErrors);
    test("recovery", Client::recovery);
    System.exit(failed == 0 ? 0 : 1);
  }
}
