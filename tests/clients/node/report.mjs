// What both Node programs use to say how their cases went.
import assert from "node:assert/strict";

export const { equal, deepEqual, ok } = assert;
let failed = false;

// A promise that must settle in time.
export function within(promise, what, ms = 10000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A list that can be waited on.
export class Box {
  constructor() {
    this.items = [];
    this.waiting = [];
  }

  put(item) {
    const waiter = this.waiting.shift();
    if (waiter) waiter(item);
    else this.items.push(item);
  }

  next(what = "message") {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return within(new Promise((resolve) => this.waiting.push(resolve)), what);
  }
}

export async function test(name, body) {
  try {
    await within(body(), name, 30000);
    console.log("ok", name);
  } catch (why) {
    failed = true;
    const at = String(why.stack).split("\n").find((line) => /(amqplib|cloudamqp)\.mjs/.test(line)) || "";
    console.log(`FAIL ${name}: ${String(why.message ?? why).replaceAll("\n", " ").slice(0, 400)} ${at.trim()}`);
  }
}

export function end() {
  process.exit(failed ? 1 : 0);
}
