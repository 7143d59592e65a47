<?php
// php-amqplib against a broker, case by case; each prints a line `ok` or `FAIL`.

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPArray;
use PhpAmqpLib\Wire\AMQPTable;

$failed = false;

function check($truth, $what = '')
{
    if (!$truth) {
        throw new Exception(is_string($what) ? $what : json_encode($what));
    }
}

function equal($seen, $wanted, $what)
{
    check($seen === $wanted, "$what: seen " . var_export($seen, true) . ', wanted ' . var_export($wanted, true));
}

function test($name, $body)
{
    global $failed;
    try {
        $body();
        echo "ok $name\n";
    } catch (Throwable $why) {
        $failed = true;
        $line = $why->getLine();
        foreach ($why->getTrace() as $step) {
            if (($step['file'] ?? '') === __FILE__ && $step['function'] !== 'check') {
                $line = $step['line'];
                break;
            }
        }
        echo "FAIL $name: line $line: " . get_class($why) . ': ' . str_replace("\n", ' ', $why->getMessage()) . "\n";
    }
}

function link_up($password = 'guest', $vhost = '/')
{
    return new AMQPStreamConnection('127.0.0.1', getenv('AMQP_PORT'), 'guest', $password, $vhost,
        false, 'AMQPLAIN', null, 'en_US', 5.0, 10.0);
}

function with($use)
{
    $link = link_up();
    $use($link->channel(), $link);
    $link->close();
}

/** The broker must close the channel with this code and keep the connection. */
function closes($code, $use)
{
    $link = link_up();
    try {
        $channel = $link->channel();
        $use($channel);
        $channel->basic_qos(0, 0, false);
        throw new Exception("not closed, wanted $code");
    } catch (AMQPProtocolChannelException $why) {
        equal($why->amqp_reply_code, $code, 'reply code');
    }
    $link->channel()->queue_declare('', false, false, true);
    $link->close();
}

function fresh($channel)
{
    return $channel->queue_declare('', false, false, true, false)[0];
}

function all($channel, $queue)
{
    $found = [];
    while ($got = $channel->basic_get($queue, true)) {
        $found[] = $got->getBody();
    }
    return $found;
}

test('connect', function () {
    with(function ($channel, $link) {
        check($link->isConnected());
        $properties = $link->getServerProperties();
        check(isset($properties['product']) && isset($properties['capabilities']), $properties);
    });
    foreach ([['wrong', '/'], ['guest', 'nowhere']] as [$password, $vhost]) {
        try {
            link_up($password, $vhost);
        } catch (Throwable $expected) {
            continue;
        }
        throw new Exception("taken: $password $vhost");
    }
});

test('confirms', function () {
    with(function ($channel) {
        $channel->queue_declare('php.confirms', false, true, false, false);
        $acked = 0;
        $channel->set_ack_handler(function () use (&$acked) {
            $acked++;
        });
        $channel->confirm_select();
        for ($i = 0; $i < 200; $i++) {
            $channel->basic_publish(new AMQPMessage("$i", ['delivery_mode' => 2]), '', 'php.confirms');
        }
        $channel->wait_for_pending_acks(10);
        equal($acked, 200, 'acked');
        $got = [];
        $channel->basic_qos(0, 50, false);
        $channel->basic_consume('php.confirms', '', false, false, false, false, function ($message) use (&$got) {
            $got[] = $message->getBody();
            $message->ack();
        });
        while (count($got) < 200) {
            $channel->wait(null, false, 10);
        }
        equal($got, array_map('strval', range(0, 199)), 'order');
        $channel->queue_delete('php.confirms');
    });
});

test('prefetch_and_requeue', function () {
    with(function ($channel) {
        $queue = fresh($channel);
        for ($i = 0; $i < 4; $i++) {
            $channel->basic_publish(new AMQPMessage("$i"), '', $queue);
        }
        $channel->basic_qos(0, 2, false);
        $got = [];
        $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$got) {
            $got[] = $message;
        });
        while (count($got) < 2) {
            $channel->wait(null, false, 10);
        }
        $got[0]->nack(true);
        while (count($got) < 3) {
            $channel->wait(null, false, 10);
        }
        equal([$got[2]->getBody(), $got[2]->isRedelivered()], ['0', true], 'requeued');
        $got[1]->reject(false);
        $got[2]->ack();
        while (count($got) < 5) {
            $channel->wait(null, false, 10);
        }
        equal([$got[3]->getBody(), $got[4]->getBody()], ['2', '3'], 'rest');
    });
});

test('exchanges', function () {
    with(function ($channel) {
        $fan = fresh($channel);
        $topic = fresh($channel);
        $headers = fresh($channel);
        $channel->exchange_declare('php.fan', 'fanout', false, false, true);
        $channel->exchange_declare('php.topic', 'topic', false, false, true);
        $channel->exchange_declare('php.headers', 'headers', false, false, true);
        $channel->queue_bind($fan, 'php.fan');
        $channel->queue_bind($topic, 'php.topic', '#.error');
        $channel->queue_bind($headers, 'php.headers', '', false, new AMQPTable(['x-match' => 'all', 'a' => 1, 'b' => true]));
        $channel->confirm_select();
        $channel->basic_publish(new AMQPMessage('f'), 'php.fan', 'x');
        foreach (['error', 'a.b.error', 'error.a'] as $key) {
            $channel->basic_publish(new AMQPMessage($key), 'php.topic', $key);
        }
        foreach ([['a' => 1, 'b' => true], ['a' => 1]] as $table) {
            $channel->basic_publish(new AMQPMessage((string) count($table),
                ['application_headers' => new AMQPTable($table)]), 'php.headers');
        }
        $channel->wait_for_pending_acks(10);
        equal(all($channel, $fan), ['f'], 'fanout');
        equal(all($channel, $topic), ['error', 'a.b.error'], 'topic');
        equal(all($channel, $headers), ['2'], 'headers');
    });
});

test('rpc', function () {
    with(function ($server) {
        with(function ($client) use ($server) {
            $queue = fresh($server);
            $answer = null;
            $client->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function ($message) use (&$answer) {
                $answer = $message->get('correlation_id') . $message->getBody();
            });
            $server->basic_consume($queue, '', false, true, false, false, function ($message) use ($server) {
                $server->basic_publish(new AMQPMessage('answer', ['correlation_id' => $message->get('correlation_id')]),
                    '', $message->get('reply_to'));
            });
            $client->basic_publish(new AMQPMessage('ask', ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => 'c']), '', $queue);
            $server->wait(null, false, 10);
            while ($answer === null) {
                $client->wait(null, false, 10);
            }
            equal($answer, 'canswer', 'reply');
        });
    });
});

test('transactions', function () {
    with(function ($channel) {
        $queue = fresh($channel);
        $channel->tx_select();
        $channel->basic_publish(new AMQPMessage('no'), '', $queue);
        $channel->tx_rollback();
        $channel->basic_publish(new AMQPMessage('yes'), '', $queue);
        equal(all($channel, $queue), [], 'before');
        $channel->tx_commit();
        equal(all($channel, $queue), ['yes'], 'after');
    });
});

test('returns', function () {
    with(function ($channel) {
        $back = null;
        $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$back) {
            $back = [$code, $text, $exchange, $key, $message->getBody()];
        });
        $channel->basic_publish(new AMQPMessage('b'), '', 'php.nowhere', true);
        $channel->wait(null, false, 10);
        equal($back, [312, 'NO_ROUTE', '', 'php.nowhere', 'b'], 'return');
    });
});

test('cancel_and_short_lives', function () {
    $exclusive = null;
    with(function ($channel, $link) use (&$exclusive) {
        $exclusive = fresh($channel);
        $channel->queue_declare('php.auto', false, false, false, true);
        $tag = $channel->basic_consume('php.auto');
        $channel->basic_cancel($tag);
        $channel->queue_declare('php.cancelled', false, false, false, false);
        $channel->basic_consume('php.cancelled', 'tag');
        $link->channel()->queue_delete('php.cancelled');
        try {
            $channel->wait(null, false, 10);
        } catch (PhpAmqpLib\Exception\AMQPBasicCancelException $why) {
            equal($why->consumerTag, 'tag', 'cancelled');
            return;
        }
        throw new Exception('no cancel');
    });
    foreach (['php.auto', $exclusive] as $queue) {
        closes(404, function ($c) use ($queue) {
            $c->queue_declare($queue, true);
        });
    }
});

test('large_bodies', function () {
    with(function ($channel) {
        $queue = fresh($channel);
        $channel->confirm_select();
        foreach ([0, 131064, 131065, 1 << 20, 3 << 20] as $size) {
            $body = $size ? random_bytes($size) : '';
            $channel->basic_publish(new AMQPMessage($body), '', $queue);
            $channel->wait_for_pending_acks(10);
            check($channel->basic_get($queue, true)->getBody() === $body, "size $size");
        }
    });
});

test('header_table', function () {
    with(function ($channel) {
        $queue = fresh($channel);
        $table = ['string' => 's', 'int' => 5, 'negative' => -5, 'big' => 1 << 40, 'float' => 2.5, 'true' => true, 'false' => false,
            'null' => null, 'time' => new DateTime('@1700000000'), 'list' => [1, 'two', [3]], 'table' => ['a' => ['b' => 1]]];
        $sent = new AMQPMessage('', ['content_type' => 'a', 'content_encoding' => 'b', 'delivery_mode' => 2, 'priority' => 3,
            'correlation_id' => 'c', 'reply_to' => 'd', 'expiration' => '60000', 'message_id' => 'e', 'timestamp' => 1700000000,
            'type' => 'f', 'user_id' => 'guest', 'app_id' => 'g', 'cluster_id' => 'h', 'application_headers' => new AMQPTable($table)]);
        $channel->basic_publish($sent, '', $queue);
        $got = null;
        $channel->basic_consume($queue, '', false, true, false, false, function ($message) use (&$got) {
            $got = $message;
        });
        $channel->wait(null, false, 10);
        $headers = $got->get('application_headers')->getNativeData();
        ksort($headers);
        ksort($table);
        check($headers == $table, [$headers, $table]);
        foreach (['content_type', 'content_encoding', 'delivery_mode', 'priority', 'correlation_id', 'reply_to', 'expiration',
            'message_id', 'type', 'user_id', 'app_id', 'cluster_id'] as $key) {
            equal($got->get($key), $sent->get($key), $key);
        }
        equal((int) $got->get('timestamp'), 1700000000, 'timestamp');
    });
});

test('channel_errors', function () {
    closes(404, function ($c) {
        $c->basic_consume('php.missing');
    });
    closes(404, function ($c) {
        $c->basic_publish(new AMQPMessage(''), 'php.missing');
    });
    closes(403, function ($c) {
        $c->queue_declare('amq.mine');
    });
    closes(406, function ($c) {
        $c->basic_ack(9);
    });
    closes(406, function ($c) {
        $c->queue_declare('php.same', false, false, true);
        $c->queue_declare('php.same', false, false, true, false);
    });
    with(function ($holder) {
        $held = fresh($holder);
        closes(405, function ($c) use ($held) {
            $c->queue_declare($held, true);
        });
    });
});

test('reconnect', function () {
    $link = link_up();
    $channel = $link->channel();
    $channel->queue_declare('php.kept', false, true, false, false);
    try {
        // immediate is not implemented: 540, and the connection goes.
        $channel->basic_publish(new AMQPMessage(''), '', 'php.kept', false, true);
        $channel->wait(null, false, 10);
        throw new Exception('not closed');
    } catch (PhpAmqpLib\Exception\AMQPConnectionClosedException | PhpAmqpLib\Exception\AMQPProtocolConnectionException $why) {
        equal($why->getCode(), 540, 'reply code');
    }
    $link->reconnect();
    $link->channel()->queue_delete('php.kept');
    $link->close();
});

exit($failed ? 1 : 0);
