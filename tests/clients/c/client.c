/* librabbitmq's C client against a broker, case by case; each prints a line `ok` or `FAIL`. */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static jmp_buf out;
static int failures = 0;
static const char* running = "";

static void fail(int line, const char* format, ...) {
  va_list more;
  char text[400];
  va_start(more, format);
  vsnprintf(text, sizeof text, format, more);
  va_end(more);
  printf("FAIL %s: line %d: %s\n", running, line, text);
  longjmp(out, 1);
}

#define CHECK(truth, ...) \
  do {                    \
    if (!(truth)) fail(__LINE__, __VA_ARGS__); \
  } while (0)

static amqp_connection_state_t try_connect(const char* vhost, const char* password, amqp_rpc_reply_t* reply) {
  amqp_connection_state_t link = amqp_new_connection();
  amqp_socket_t* socket = amqp_tcp_socket_new(link);
  CHECK(socket != NULL && amqp_socket_open(socket, "127.0.0.1", atoi(getenv("AMQP_PORT"))) == 0, "no connection");
  *reply = amqp_login(link, vhost, 0, 131072, 30, AMQP_SASL_METHOD_PLAIN, "guest", password);
  return link;
}

static amqp_connection_state_t open_link(void) {
  amqp_rpc_reply_t reply;
  amqp_connection_state_t link = try_connect("/", "guest", &reply);
  CHECK(reply.reply_type == AMQP_RESPONSE_NORMAL, "login refused");
  amqp_channel_open(link, 1);
  CHECK(amqp_get_rpc_reply(link).reply_type == AMQP_RESPONSE_NORMAL, "no channel");
  return link;
}

static void close_link(amqp_connection_state_t link) {
  amqp_connection_close(link, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(link);
}

static void good(amqp_connection_state_t link, int line) {
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(link);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t* close = reply.reply.decoded;
    fail(line, "closed: %d %.*s", close->reply_code, (int)close->reply_text.len, (char*)close->reply_text.bytes);
  }
  fail(line, "reply type %d, library error %s", reply.reply_type, amqp_error_string2(reply.library_error));
}
#define GOOD(link) good(link, __LINE__)

/* The last call must have closed channel 1 with this code; opens channel 2 to see the connection live. */
static void closed_with(amqp_connection_state_t link, int code, int line) {
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(link);
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
    fail(line, "not closed, wanted %d", code);
  amqp_channel_close_t* close = reply.reply.decoded;
  if (close->reply_code != code) fail(line, "closed with %d, wanted %d", close->reply_code, code);
  amqp_channel_close_ok_t close_ok;
  amqp_send_method(link, 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
  amqp_channel_open(link, 2);
  good(link, line);
  close_link(link);
}
#define CLOSED_WITH(link, code) closed_with(link, code, __LINE__)

static amqp_bytes_t text(const char* from) { return amqp_cstring_bytes(from); }

static amqp_bytes_t fresh_queue(amqp_connection_state_t link) {
  amqp_queue_declare_ok_t* ok = amqp_queue_declare(link, 1, amqp_empty_bytes, 0, 0, 1, 0, amqp_empty_table);
  GOOD(link);
  return amqp_bytes_malloc_dup(ok->queue);
}

static void send_text(amqp_connection_state_t link, const char* exchange, amqp_bytes_t key, const char* body,
                      const amqp_basic_properties_t* properties) {
  CHECK(amqp_basic_publish(link, 1, text(exchange), key, 0, 0, properties, text(body)) == AMQP_STATUS_OK, "publish");
}

static void wait_acks(amqp_connection_state_t link, uint64_t last) {
  struct timeval patience = {10, 0};
  for (uint64_t seen = 0; seen < last;) {
    amqp_frame_t frame;
    CHECK(amqp_simple_wait_frame_noblock(link, &frame, &patience) == AMQP_STATUS_OK, "no confirm");
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    CHECK(frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "not an ack: %x", frame.payload.method.id);
    seen = ((amqp_basic_ack_t*)frame.payload.method.decoded)->delivery_tag;
  }
}

static amqp_envelope_t next(amqp_connection_state_t link) {
  struct timeval patience = {10, 0};
  amqp_envelope_t envelope;
  amqp_maybe_release_buffers(link);
  amqp_rpc_reply_t reply = amqp_consume_message(link, &envelope, &patience, 0);
  CHECK(reply.reply_type == AMQP_RESPONSE_NORMAL, "no message: %s", amqp_error_string2(reply.library_error));
  return envelope;
}

static int is(amqp_bytes_t seen, const char* wanted) {
  return seen.len == strlen(wanted) && memcmp(seen.bytes, wanted, seen.len) == 0;
}

static void test_connect(void) {
  amqp_rpc_reply_t reply;
  close_link(open_link());
  amqp_destroy_connection(try_connect("/", "wrong", &reply));
  CHECK(reply.reply_type != AMQP_RESPONSE_NORMAL, "a wrong password was taken");
  amqp_destroy_connection(try_connect("nowhere", "guest", &reply));
  CHECK(reply.reply_type != AMQP_RESPONSE_NORMAL, "an unknown virtual host was taken");
}

static void test_confirms_and_order(void) {
  amqp_connection_state_t link = open_link();
  amqp_queue_declare(link, 1, text("c.confirms"), 0, 1, 0, 0, amqp_empty_table);
  GOOD(link);
  amqp_confirm_select(link, 1);
  GOOD(link);
  amqp_basic_properties_t properties = {0};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = 2;
  char body[32];
  for (int i = 0; i < 300; i++) {
    snprintf(body, sizeof body, "%d", i);
    send_text(link, "", text("c.confirms"), body, &properties);
  }
  wait_acks(link, 300);
  amqp_basic_qos(link, 1, 0, 20, 0);
  amqp_basic_consume(link, 1, text("c.confirms"), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  GOOD(link);
  for (int i = 0; i < 300; i++) {
    snprintf(body, sizeof body, "%d", i);
    amqp_envelope_t got = next(link);
    CHECK(is(got.message.body, body), "order at %d", i);
    amqp_basic_ack(link, 1, got.delivery_tag, 0);
    amqp_destroy_envelope(&got);
  }
  amqp_queue_delete(link, 1, text("c.confirms"), 0, 0);
  GOOD(link);
  close_link(link);
}

static void test_requeue(void) {
  amqp_connection_state_t link = open_link();
  amqp_bytes_t queue = fresh_queue(link);
  send_text(link, "", queue, "a", NULL);
  amqp_basic_consume(link, 1, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  GOOD(link);
  amqp_envelope_t got = next(link);
  CHECK(!got.redelivered, "redelivered at first");
  amqp_basic_nack(link, 1, got.delivery_tag, 0, 1);
  amqp_destroy_envelope(&got);
  got = next(link);
  CHECK(got.redelivered, "not redelivered");
  amqp_basic_reject(link, 1, got.delivery_tag, 0);
  amqp_destroy_envelope(&got);
  CHECK(amqp_queue_purge(link, 1, queue)->message_count == 0, "something left");
  close_link(link);
}

static void test_topic(void) {
  amqp_connection_state_t link = open_link();
  amqp_bytes_t queue = fresh_queue(link);
  amqp_exchange_declare(link, 1, text("c.topic"), text("topic"), 0, 0, 1, 0, amqp_empty_table);
  GOOD(link);
  amqp_queue_bind(link, 1, queue, text("c.topic"), text("#.c.*"), amqp_empty_table);
  GOOD(link);
  send_text(link, "c.topic", text("a.b.c"), "no", NULL);
  send_text(link, "c.topic", text("a.b.c.d"), "yes", NULL);
  amqp_basic_consume(link, 1, queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
  amqp_envelope_t got = next(link);
  CHECK(is(got.message.body, "yes") && is(got.routing_key, "a.b.c.d"), "wrong message");
  amqp_destroy_envelope(&got);
  close_link(link);
}

static void test_rpc(void) {
  amqp_connection_state_t client = open_link(), server = open_link();
  amqp_bytes_t queue = fresh_queue(server);
  amqp_basic_consume(server, 1, queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
  amqp_basic_consume(client, 1, text("amq.rabbitmq.reply-to"), amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
  GOOD(client);
  amqp_basic_properties_t properties = {0};
  properties._flags = AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG;
  properties.reply_to = text("amq.rabbitmq.reply-to");
  properties.correlation_id = text("c1");
  send_text(client, "", queue, "ask", &properties);
  amqp_envelope_t request = next(server);
  properties._flags = AMQP_BASIC_CORRELATION_ID_FLAG;
  properties.correlation_id = request.message.properties.correlation_id;
  send_text(server, "", request.message.properties.reply_to, "answer", &properties);
  amqp_envelope_t reply = next(client);
  CHECK(is(reply.message.body, "answer") && is(reply.message.properties.correlation_id, "c1"), "wrong reply");
  amqp_destroy_envelope(&request);
  amqp_destroy_envelope(&reply);
  close_link(server);
  close_link(client);
}

static void test_transactions(void) {
  amqp_connection_state_t link = open_link();
  amqp_bytes_t queue = fresh_queue(link);
  amqp_tx_select(link, 1);
  send_text(link, "", queue, "no", NULL);
  amqp_tx_rollback(link, 1);
  send_text(link, "", queue, "yes", NULL);
  amqp_tx_commit(link, 1);
  GOOD(link);
  CHECK(amqp_queue_purge(link, 1, queue)->message_count == 1, "not one message");
  close_link(link);
}

static void test_returns(void) {
  amqp_connection_state_t link = open_link();
  struct timeval patience = {10, 0};
  amqp_frame_t frame;
  amqp_message_t message;
  amqp_basic_publish(link, 1, amqp_empty_bytes, text("c.nowhere"), 1, 0, NULL, text("back"));
  CHECK(amqp_simple_wait_frame_noblock(link, &frame, &patience) == AMQP_STATUS_OK, "nothing came");
  CHECK(frame.payload.method.id == AMQP_BASIC_RETURN_METHOD, "not a return");
  CHECK(((amqp_basic_return_t*)frame.payload.method.decoded)->reply_code == 312, "not 312");
  CHECK(amqp_read_message(link, 1, &message, 0).reply_type == AMQP_RESPONSE_NORMAL, "no body");
  CHECK(is(message.body, "back"), "another body");
  amqp_destroy_message(&message);
  close_link(link);
}

static void test_large_bodies(void) {
  static const size_t sizes[] = {0, 131064, 131065, 1 << 20, 4 << 20};
  amqp_connection_state_t link = open_link();
  amqp_bytes_t queue = fresh_queue(link);
  amqp_basic_consume(link, 1, queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    amqp_bytes_t body = amqp_bytes_malloc(sizes[i] ? sizes[i] : 1);
    body.len = sizes[i];
    for (size_t at = 0; at < body.len; at++) ((unsigned char*)body.bytes)[at] = (unsigned char)(at * 31 + i);
    CHECK(amqp_basic_publish(link, 1, amqp_empty_bytes, queue, 0, 0, NULL, body) == AMQP_STATUS_OK, "publish");
    amqp_envelope_t got = next(link);
    CHECK(got.message.body.len == body.len && memcmp(got.message.body.bytes, body.bytes, body.len) == 0,
          "size %zu came as %zu", body.len, got.message.body.len);
    amqp_destroy_envelope(&got);
    amqp_bytes_free(body);
  }
  close_link(link);
}

static void test_header_kinds(void) {
  amqp_connection_state_t link = open_link();
  amqp_bytes_t queue = fresh_queue(link);
  amqp_table_entry_t entries[16], inner = {text("in"), {AMQP_FIELD_KIND_VOID, {0}}};
  static const uint8_t kinds[] = {
      AMQP_FIELD_KIND_BOOLEAN, AMQP_FIELD_KIND_I8, AMQP_FIELD_KIND_U8, AMQP_FIELD_KIND_I16,
      AMQP_FIELD_KIND_U16, AMQP_FIELD_KIND_I32, AMQP_FIELD_KIND_U32, AMQP_FIELD_KIND_I64,
      AMQP_FIELD_KIND_F32, AMQP_FIELD_KIND_F64, AMQP_FIELD_KIND_DECIMAL, AMQP_FIELD_KIND_UTF8,
      AMQP_FIELD_KIND_TIMESTAMP, AMQP_FIELD_KIND_TABLE, AMQP_FIELD_KIND_VOID, AMQP_FIELD_KIND_BYTES};
  static char names[16][4];
  memset(entries, 0, sizeof entries);
  for (int i = 0; i < 16; i++) {
    snprintf(names[i], sizeof names[i], "k%d", i);
    entries[i].key = text(names[i]);
    entries[i].value.kind = kinds[i];
    entries[i].value.value.u64 = 1;
    if (kinds[i] == AMQP_FIELD_KIND_UTF8 || kinds[i] == AMQP_FIELD_KIND_BYTES) entries[i].value.value.bytes = text("x");
    if (kinds[i] == AMQP_FIELD_KIND_DECIMAL) entries[i].value.value.decimal.value = 314;
    if (kinds[i] == AMQP_FIELD_KIND_TABLE) entries[i].value.value.table = (amqp_table_t){1, &inner};
  }
  amqp_basic_properties_t properties = {0};
  properties._flags = AMQP_BASIC_HEADERS_FLAG;
  properties.headers = (amqp_table_t){16, entries};
  amqp_basic_consume(link, 1, queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
  send_text(link, "", queue, "h", &properties);
  amqp_envelope_t got = next(link);
  amqp_table_t back = got.message.properties.headers;
  CHECK(back.num_entries == 16, "%d entries", back.num_entries);
  for (int i = 0; i < 16; i++) CHECK(back.entries[i].value.kind == kinds[i], "kind of %d", i);
  CHECK(back.entries[13].value.value.table.num_entries == 1 && back.entries[10].value.value.decimal.value == 314, "values");
  amqp_destroy_envelope(&got);
  close_link(link);
}

static void test_errors(void) {
  amqp_connection_state_t link = open_link();
  amqp_queue_declare(link, 1, text("c.missing"), 1, 0, 0, 0, amqp_empty_table);
  CLOSED_WITH(link, 404);
  link = open_link();
  amqp_queue_declare(link, 1, text("amq.mine"), 0, 0, 0, 0, amqp_empty_table);
  CLOSED_WITH(link, 403);
  link = open_link();
  amqp_queue_declare(link, 1, text("c.same"), 0, 0, 1, 0, amqp_empty_table);
  amqp_queue_declare(link, 1, text("c.same"), 0, 0, 1, 1, amqp_empty_table);
  CLOSED_WITH(link, 406);
  amqp_connection_state_t holder = open_link();
  amqp_bytes_t held = fresh_queue(holder);
  link = open_link();
  amqp_queue_declare(link, 1, held, 1, 0, 0, 0, amqp_empty_table);
  CLOSED_WITH(link, 405);
  close_link(holder);
}

static void test(const char* name, void (*body)(void)) {
  running = name;
  if (setjmp(out) == 0) {
    body();
    printf("ok %s\n", name);
  } else {
    failures++;
  }
  fflush(stdout);
}

int main(void) {
  test("connect", test_connect);
  test("confirms_and_order", test_confirms_and_order);
  test("requeue", test_requeue);
  test("topic", test_topic);
  test("rpc", test_rpc);
  test("transactions", test_transactions);
  test("returns", test_returns);
  test("large_bodies", test_large_bodies);
  test("header_kinds", test_header_kinds);
  test("errors", test_errors);
  return failures == 0 ? 0 : 1;
}
