// amqplib (promises) against a broker, case by case.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import amqp from "amqplib";
import { Box, deepEqual, end, equal, ok, test, within } from "./report.mjs";

// Set when the broker is to be reached over TLS: the authority of its certificate.
const authority = process.env.AMQP_TLS_CA;
const place = { protocol: authority ? "amqps" : "amqp", hostname: "localhost", port: Number(process.env.AMQP_PORT), username: "guest", password: "guest" };
const socketOptions = { family: 4, ...(authority ? { ca: [readFileSync(authority)] } : {}) };

async function connection(more = {}) {
  const link = await amqp.connect({ ...place, ...more }, socketOptions);
  link.on("error", () => {});
  return link;
}

async function using(use, confirming = false) {
  const link = await connection();
  try {
    const channel = confirming ? await link.createConfirmChannel() : await link.createChannel();
    await use(channel, link);
  } finally {
    await link.close().catch(() => {});
  }
}

// The broker must close the channel with this code and keep the connection.
async function closes(code, action) {
  await using(async (channel, link) => {
    const closed = new Promise((resolve) => channel.once("error", resolve));
    await Promise.resolve(action(channel)).catch(() => {});
    equal((await within(closed, `close with ${code}`)).code, code);
    const again = await link.createChannel();
    await again.assertQueue("", { exclusive: true });
  });
}

async function fresh(channel) {
  return (await channel.assertQueue("", { exclusive: true })).queue;
}

async function consume(channel, queue, options) {
  const box = new Box();
  const { consumerTag } = await channel.consume(queue, (message) => box.put(message), options);
  box.tag = consumerTag;
  return box;
}

async function all(channel, queue) {
  const found = [];
  for (let got; (got = await channel.get(queue, { noAck: true })); ) found.push(got.content.toString());
  return found;
}

await test("connect", async () => {
  await using(async (_, link) => {
    const { capabilities } = link.connection.serverProperties;
    for (const key of ["publisher_confirms", "basic.nack", "connection.blocked", "consumer_cancel_notify"])
      equal(capabilities[key], true, key);
  });
  for (const wrong of [{ password: "wrong" }, { vhost: "nowhere" }]) {
    let taken = false;
    await connection(wrong).then(() => (taken = true), () => {});
    ok(!taken, JSON.stringify(wrong));
  }
});

await test("confirms", () => using(async (channel) => {
  await channel.assertQueue("njs.confirms", { durable: true });
  for (let i = 0; i < 300; i++) channel.sendToQueue("njs.confirms", Buffer.from(`${i}`), { persistent: true });
  await within(channel.waitForConfirms(), "confirms");
  equal((await channel.checkQueue("njs.confirms")).messageCount, 300);
  await channel.prefetch(50);
  const box = await consume(channel, "njs.confirms");
  for (let i = 0; i < 300; i++) {
    const got = await box.next();
    equal(got.content.toString(), `${i}`);
    channel.ack(got);
  }
  await channel.deleteQueue("njs.confirms");
}, true));

await test("nacks_of_a_full_queue", () => using(async (channel) => {
  const { queue } = await channel.assertQueue("", { exclusive: true, maxLength: 1, arguments: { "x-overflow": "reject-publish" } });
  const answers = [];
  for (let i = 0; i < 3; i++)
    answers.push(new Promise((resolve) => channel.sendToQueue(queue, Buffer.from("x"), {}, (error) => resolve(error === null))));
  deepEqual(await within(Promise.all(answers), "answers"), [true, false, false]);
}, true));

await test("prefetch_and_requeue", () => using(async (channel) => {
  const queue = await fresh(channel);
  for (let i = 0; i < 4; i++) channel.sendToQueue(queue, Buffer.from(`${i}`));
  await channel.prefetch(2);
  const box = await consume(channel, queue);
  const first = await box.next();
  const second = await box.next();
  await new Promise((resolve) => setTimeout(resolve, 200)); // nothing more may come
  equal(box.items.length, 0);
  channel.nack(first, false, true);
  const again = await box.next();
  deepEqual([again.content.toString(), again.fields.redelivered], ["0", true]);
  channel.reject(second, false);
  channel.ack(again);
  equal((await box.next()).content.toString(), "2");
  equal((await box.next()).content.toString(), "3");
}));

await test("exchanges", () => using(async (channel) => {
  const [fan, topic, headers] = [await fresh(channel), await fresh(channel), await fresh(channel)];
  for (const type of ["fanout", "topic", "headers"]) await channel.assertExchange(`njs.${type}`, type, { autoDelete: true });
  await channel.bindQueue(fan, "njs.fanout", "");
  await channel.bindQueue(topic, "njs.topic", "a.#.z");
  await channel.bindQueue(headers, "njs.headers", "", { "x-match": "all", n: 1, s: "x" });
  channel.publish("njs.fanout", "", Buffer.from("f"));
  for (const key of ["a.z", "a.b.c.z", "a.b"]) channel.publish("njs.topic", key, Buffer.from(key));
  for (const table of [{ n: 1, s: "x" }, { n: 1 }]) channel.publish("njs.headers", "", Buffer.from(JSON.stringify(table)), { headers: table });
  await within(channel.waitForConfirms(), "confirms");
  deepEqual(await all(channel, fan), ["f"]);
  deepEqual(await all(channel, topic), ["a.z", "a.b.c.z"]);
  deepEqual(await all(channel, headers), ['{"n":1,"s":"x"}']);
}, true));

await test("rpc", () => using((server) => using(async (client) => {
  const queue = await fresh(server);
  await server.consume(queue, (message) => server.sendToQueue(message.properties.replyTo,
    Buffer.from(`${message.content}!`), { correlationId: message.properties.correlationId }), { noAck: true });
  const box = await consume(client, "amq.rabbitmq.reply-to", { noAck: true });
  client.sendToQueue(queue, Buffer.from("ask"), { replyTo: "amq.rabbitmq.reply-to", correlationId: "c" });
  const reply = await box.next();
  deepEqual([reply.properties.correlationId, reply.content.toString()], ["c", "ask!"]);
})));

await test("returns", () => using(async (channel) => {
  const box = new Box();
  channel.on("return", (message) => box.put(message));
  channel.publish("", "njs.nowhere", Buffer.from("b"), { mandatory: true });
  const back = await box.next("return");
  deepEqual([back.fields.replyCode, back.fields.replyText, back.content.toString()], [312, "NO_ROUTE", "b"]);
}));

await test("cancel_and_short_lives", async () => {
  let exclusive;
  await using(async (channel, link) => {
    exclusive = await fresh(channel);
    await channel.assertQueue("njs.auto", { autoDelete: true, durable: false });
    const auto = await consume(channel, "njs.auto");
    await channel.cancel(auto.tag);
    await channel.assertQueue("njs.cancelled", { durable: false });
    const box = await consume(channel, "njs.cancelled");
    await (await link.createChannel()).deleteQueue("njs.cancelled");
    equal(await box.next("cancel"), null);
  });
  for (const queue of ["njs.auto", exclusive]) await closes(404, (channel) => channel.checkQueue(queue));
});

await test("large_bodies", () => using(async (channel) => {
  const queue = await fresh(channel);
  for (const size of [0, 131064, 131065, 1 << 20, 5 << 20]) {
    const body = randomBytes(size);
    channel.sendToQueue(queue, body);
    await within(channel.waitForConfirms(), "confirm");
    ok((await channel.get(queue, { noAck: true })).content.equals(body), `size ${size}`);
  }
}, true));

await test("header_table", () => using(async (channel) => {
  const queue = await fresh(channel);
  const headers = { string: "s", int: 5, negative: -5, big: 2 ** 40, float: 2.5, true: true, false: false, null: null,
    bytes: Buffer.from([0, 255]), time: { "!": "timestamp", value: 1700000000 }, decimal: { "!": "decimal", value: { digits: 314, places: 2 } },
    list: [1, "two", [3]], table: { a: { b: 1 } } };
  const properties = { contentType: "a", contentEncoding: "b", deliveryMode: 2, priority: 3, correlationId: "c", replyTo: "d",
    expiration: "60000", messageId: "e", timestamp: 1700000000, type: "f", userId: "guest", appId: "g" };
  channel.sendToQueue(queue, Buffer.from(""), { ...properties, headers });
  await within(channel.waitForConfirms(), "confirm");
  const got = (await channel.get(queue, { noAck: true })).properties;
  deepEqual({ ...got.headers }, headers);
  for (const [key, value] of Object.entries(properties)) deepEqual(got[key], value, key);
}, true));

await test("channel_errors", async () => {
  await closes(404, (c) => c.checkQueue("njs.missing"));
  await closes(404, (c) => c.publish("njs.missing", "", Buffer.from("")));
  await closes(403, (c) => c.assertQueue("amq.mine"));
  await closes(406, (c) => c.ack({ fields: { deliveryTag: 9 } }));
  await closes(406, async (c) => {
    await c.assertQueue("njs.same", { exclusive: true });
    await c.assertQueue("njs.same", { exclusive: true, messageTtl: 5 });
  });
  await using(async (holder) => {
    const held = await fresh(holder);
    await closes(405, (c) => c.checkQueue(held));
  });
});

await test("reconnect", async () => {
  const link = await connection();
  const closed = new Promise((resolve) => link.on("close", resolve));
  link.connection.stream.write(Buffer.from([1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 80, 0])); // the last byte must be CE
  equal((await within(closed, "close")).code, 501);
  await using((again) => again.assertQueue("", { exclusive: true }));
});

end();
