// @cloudamqp/amqp-client against a broker: its sessions, and its plain channels, case by case.
import { randomBytes } from "node:crypto";
import { AMQPClient, AMQPSession } from "@cloudamqp/amqp-client";
import { Box, deepEqual, end, equal, ok, test, within } from "./report.mjs";

const url = `amqp://127.0.0.1:${process.env.AMQP_PORT}`;
const quiet = { logger: null, reconnectInterval: 200 };

async function using(use, confirming = false) {
  const link = await new AMQPClient(url, undefined, null).connect();
  try {
    const channel = await link.channel();
    if (confirming) await channel.confirmSelect();
    await use(channel, link);
  } finally {
    await link.close().catch(() => {});
  }
}

const fresh = async (channel) => (await channel.queueDeclare("", { exclusive: true, durable: false })).name;

async function all(channel, queue) {
  const found = [];
  for (let got; (got = await channel.basicGet(queue, { noAck: true })); ) found.push(got.bodyString());
  return found;
}

async function closes(code, action) {
  await using(async (channel, link) => {
    const closed = new Promise((resolve) => (channel.onerror = resolve));
    // Either the call itself is refused, or the channel reports it.
    const why = await within(Promise.race([closed, Promise.resolve(action(channel)).then(() => closed)])
      .catch((error) => error.message), `close with ${code}`);
    ok(String(why).includes(code), `wanted ${code}: ${why}`);
    await fresh(await link.channel());
  });
}

await test("connect", async () => {
  await using(async (_, link) => ok(!link.closed));
  for (const wrong of [url.replace("//", "//guest:wrong@"), `${url}/nowhere`]) {
    const taken = await new AMQPClient(wrong, undefined, null).connect().then(() => true, () => false);
    ok(!taken, wrong);
  }
});

await test("confirms_and_prefetch", () => using(async (channel) => {
  await channel.queueDeclare("cloud.confirms", { durable: true });
  const tags = await within(Promise.all([...Array(200).keys()].map((i) =>
    channel.basicPublish("", "cloud.confirms", `${i}`, { deliveryMode: 2 }))), "confirms");
  equal(tags.length, 200);
  await channel.basicQos(20);
  const box = new Box();
  const consumer = await channel.basicConsume("cloud.confirms", { noAck: false }, (message) => box.put(message));
  for (let i = 0; i < 200; i++) {
    const got = await box.next();
    equal(got.bodyString(), `${i}`);
    if (i % 10 === 9) await got.ack(true);
  }
  await consumer.cancel();
  await channel.queueDelete("cloud.confirms");
}, true));

await test("requeue", () => using(async (channel) => {
  const queue = await fresh(channel);
  await channel.basicPublish("", queue, "a");
  const box = new Box();
  await channel.basicConsume(queue, { noAck: false }, (message) => box.put(message));
  const first = await box.next();
  equal(first.redelivered, false);
  await first.nack(true);
  const second = await box.next();
  equal(second.redelivered, true);
  await second.reject(false);
  equal((await channel.queuePurge(queue)).messageCount, 0);
}));

await test("exchanges", () => using(async (channel) => {
  const [fan, topic, headers] = [await fresh(channel), await fresh(channel), await fresh(channel)];
  for (const type of ["fanout", "topic", "headers"])
    await channel.exchangeDeclare(`cloud.${type}`, type, { autoDelete: true, durable: false });
  await channel.queueBind(fan, "cloud.fanout", "");
  await channel.queueBind(topic, "cloud.topic", "#.end");
  await channel.queueBind(headers, "cloud.headers", "", { "x-match": "any", a: 1, b: "x" });
  await channel.basicPublish("cloud.fanout", "", "f");
  for (const key of ["end", "a.end", "end.a"]) await channel.basicPublish("cloud.topic", key, key);
  for (const table of [{ a: 1 }, { b: "y" }]) await channel.basicPublish("cloud.headers", "", JSON.stringify(table), { headers: table });
  deepEqual(await all(channel, fan), ["f"]);
  deepEqual(await all(channel, topic), ["end", "a.end"]);
  deepEqual(await all(channel, headers), ['{"a":1}']);
}, true));

await test("transactions", () => using(async (channel) => {
  const queue = await fresh(channel);
  await channel.txSelect();
  await channel.basicPublish("", queue, "no");
  await channel.txRollback();
  await channel.basicPublish("", queue, "yes");
  deepEqual(await all(channel, queue), []);
  await channel.txCommit();
  deepEqual(await all(channel, queue), ["yes"]);
}));

await test("returns", () => using(async (channel) => {
  const box = new Box();
  channel.onReturn = (message) => box.put(message);
  await channel.basicPublish("", "cloud.nowhere", "b", {}, true);
  const back = await box.next("return");
  deepEqual([back.replyCode, back.replyText, back.bodyString()], [312, "NO_ROUTE", "b"]);
}));

await test("large_bodies", () => using(async (channel) => {
  const queue = await fresh(channel);
  for (const size of [0, 131064, 131065, 1 << 20, 3 << 20]) {
    const body = randomBytes(size);
    await channel.basicPublish("", queue, body);
    const got = await channel.basicGet(queue, { noAck: true });
    ok(Buffer.from(got.body ?? []).equals(body), `size ${size}`);
  }
}, true));

await test("header_table", () => using(async (channel) => {
  const queue = await fresh(channel);
  const headers = { string: "s", int: 5, negative: -5, big: 2 ** 40, float: 2.5, true: true, false: false, null: null,
    time: new Date(1700000000000), list: [1, "two", [3]], table: { a: { b: 1 } } };
  await channel.basicPublish("", queue, "x", { headers, timestamp: new Date(1700000000000), priority: 3, type: "t" });
  const { properties } = await channel.basicGet(queue, { noAck: true });
  deepEqual({ ...properties.headers }, headers);
  deepEqual([properties.timestamp, properties.priority, properties.type], [new Date(1700000000000), 3, "t"]);
}, true));

await test("channel_errors", async () => {
  await closes("404", (c) => c.queueDeclare("cloud.missing", { passive: true }));
  await closes("404", (c) => c.basicPublish("cloud.missing", "", ""));
  await closes("403", (c) => c.queueDeclare("amq.mine"));
  await closes("406", (c) => c.basicAck(9));
  await using(async (holder) => {
    const held = await fresh(holder);
    await closes("405", (c) => c.queueDeclare(held, { passive: true }));
  });
});

await test("session_rpc", async () => {
  const session = await AMQPSession.connect(url, quiet);
  await session.queue("cloud.rpc", { durable: false, autoDelete: true });
  await session.rpcServer("cloud.rpc", (message) => `${message.bodyString()}!`);
  const answers = await Promise.all(["a", "b", "c"].map((text) => session.rpcCall("cloud.rpc", text, { timeout: 5000 })));
  deepEqual(answers.map((answer) => answer.bodyToString()), ["a!", "b!", "c!"]);
  await session.stop();
});

await test("session_recovers", async () => {
  const back = new Box();
  const session = await AMQPSession.connect(url, { ...quiet, onconnect: () => back.put(true) });
  await back.next("connect");
  const queue = await session.queue("cloud.recovers", { durable: true });
  const box = new Box();
  await queue.subscribe({ prefetch: 5 }, (message) => box.put(message.bodyString()));
  await queue.publish("before", { deliveryMode: 2 });
  equal(await box.next(), "before");
  session.client.socket.destroy();
  await back.next("reconnect");
  await queue.publish("after", { deliveryMode: 2 });
  // What was not acknowledged in time may come a second time.
  let got;
  do got = await box.next(); while (got === "before");
  equal(got, "after");
  await queue.delete();
  await session.stop();
});

end();
