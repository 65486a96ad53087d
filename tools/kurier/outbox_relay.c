/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier outbox relay`: a relay as a process.
 *
 * Design notes: kur_relay_run has this thread and the signals until the relay ends; a second thread tells how it is,
 * and with --drain asks it to stop. The second one ends when the first says so, after the relay has ended and before it
 * is freed.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "outbox.h"
#include "table.h"
#include "text.h"

enum {
    EVERY_DEFAULT_MS = 10000,
    LOOK_MS = 100,
    DRAINED_MS = 500 /* so often the database is asked; it counts 10,000 rows at most */
};

struct telling {
    struct outbox *outbox;
    kur_relay *relay;
    struct place *place; /* its connection is the second thread's */
    struct objects objects;
    int64_t told_us, told_sent, asked_us;
    kur_outbox_figures last; /* when nothing waited; size 0: not known */
    pthread_mutex_t lock;    /* guards `ends` */
    pthread_cond_t ended;
    bool ends;
};

/* ---- How it is ---- */

static double rate(const struct telling *telling, const kur_relay_health *health, int64_t now_us)
{
    double seconds = (double)(now_us - telling->told_us) / 1e6;
    return seconds > 0 ? (double)(health->sent - telling->told_sent) / seconds : 0;
}

static void put_json(kur_buffer *json, const kur_relay_health *health, double per_second)
{
    json_open(json, NULL, '{');
    json_time(json, "time", kur_clock_now_us());
    json_number(json, "sent", health->sent);
    json_number(json, "sent_per_s", (int64_t)(per_second + 0.5));
    json_number(json, "repeated", health->repeated);
    json_number(json, "refused", health->refused);
    json_number(json, "batches", health->batches);
    json_number(json, "shards", health->shards);
    json_number(json, "takeovers", health->takeovers);
    json_number(json, "failures", health->failures);
    json_number(json, "failing_ms", health->failing_ms);
    json_text(json, "failure", health->failure[0] != '\0' ? health->failure : NULL);
    if (health->depth < 0) {
        json_null(json, "waiting");
    } else {
        json_number(json, "waiting", health->depth);
        json_number(json, "oldest_ms", health->oldest_ms);
        json_number(json, "parked", health->parked);
        json_number(json, "behind", health->behind);
        json_number(json, "blocked_keys", health->blocked);
        json_number(json, "floor_ms", health->floor_ms);
    }
    json_close(json, '}');
}

static void print_line(const kur_relay_health *health, double per_second)
{
    kur_buffer line = {0};
    text_time(&line, kur_clock_now_us());
    text_need(kur_buffer_print(&line, "  %" PRId64 " sent, %.0f/s", health->sent, per_second));
    if (health->depth >= 0) {
        text_need(kur_buffer_print(&line, ", %" PRId64 " waiting", health->depth));
        if (health->depth > 0) {
            text_put(&line, ", the oldest for ");
            text_duration(&line, health->oldest_ms * 1000);
        }
        text_need(kur_buffer_print(&line, ", %" PRId64 " parked", health->parked));
        if (health->behind > 0)
            text_need(kur_buffer_print(&line, " and %" PRId64 " behind", health->behind));
    }
    text_need(kur_buffer_print(&line, ", %d shards", health->shards));
    if (health->failing_ms > 0) {
        text_put(&line, "; failing for ");
        text_duration(&line, health->failing_ms * 1000);
        text_put(&line, ": ");
        text_safe(&line, kur_bytes_text(health->failure), false);
    }
    table_print_line(&line);
    kur_buffer_done(&line);
}

static void tell(struct telling *telling, const kur_relay_health *health)
{
    int64_t now_us = kur_clock_monotonic_us();
    double per_second = rate(telling, health, now_us);
    kur_buffer json = {0};
    if (telling->objects.output == OUTPUT_TABLE) {
        print_line(health, per_second);
    } else {
        put_json(&json, health, per_second);
        json_print(&telling->objects, &json);
    }
    kur_buffer_done(&json);
    fflush(stdout); /* what nobody reads does not stop a relay */
    telling->told_us = now_us;
    telling->told_sent = health->sent;
}

/* Waits a little; whether it ends. */
static bool pause_telling(struct telling *telling)
{
    struct timespec until = kur_deadline_after(LOOK_MS);
    pthread_mutex_lock(&telling->lock);
    if (!telling->ends)
        pthread_cond_timedwait(&telling->ended, &telling->lock, &until);
    bool ends = telling->ends;
    pthread_mutex_unlock(&telling->lock);
    return ends;
}

/* The connection that has broken is not made anew: the relay's own figures tell it, too, somewhat later. */
static bool is_drained(struct telling *telling, const kur_relay_health *health)
{
    struct place *place = telling->place;
    kur_outbox_figures figures = {.size = sizeof figures};
    if (health->depth == 0)
        return true;
    if (place->connection == NULL || kur_clock_monotonic_us() - telling->asked_us < DRAINED_MS * 1000)
        return false;
    telling->asked_us = kur_clock_monotonic_us();
    kur_status status = place->driver->outbox_figures(place->connection, &figures, NULL);
    if (status == KUR_ERROR_UNREACHABLE) {
        place->driver->disconnect(place->connection);
        place->connection = NULL;
    }
    if (status != KUR_OK || figures.depth > 0)
        return false;
    telling->last = figures;
    return true;
}

static void *keep_telling(void *user)
{
    struct telling *telling = user;
    int64_t every_us = (telling->outbox->every_ms > 0 ? telling->outbox->every_ms : EVERY_DEFAULT_MS) * 1000;
    while (!pause_telling(telling)) {
        kur_relay_health health = KUR_RELAY_HEALTH();
        if (kur_relay_health_read(telling->relay, &health, NULL) != KUR_OK)
            continue;
        if (telling->outbox->drains && is_drained(telling, &health))
            kur_relay_request_stop(telling->relay);
        if (kur_clock_monotonic_us() - telling->told_us >= every_us)
            tell(telling, &health);
    }
    return NULL;
}

/* ---- The relay ---- */

/* What is too much for the library is refused by it, with the option's name. */
static int as_int(int64_t number)
{
    return number < INT_MAX ? (int)number : INT_MAX;
}

static kur_relay *make_relay(struct outbox *outbox, const struct place *place, kur_error *error)
{
    kur_guarantee guarantee = outbox->is_exactly_once ? KUR_EXACTLY_ONCE : KUR_AT_LEAST_ONCE;
    return kur_relay_new(
        place->outbox,
        &KUR_RELAY_OPTIONS(.guarantee = guarantee, .name = outbox->name, .batch_rows = as_int(outbox->batch),
                           .poll_ms = as_int(outbox->poll_ms), .lease_ms = as_int(outbox->lease_ms),
                           .batch_kbytes = as_int(outbox->batch_kbytes),
                           .transaction_ms = as_int(outbox->transaction_ms), .blocks_nothing = outbox->blocks_nothing,
                           .control = outbox->control, .replicas = as_int(outbox->replicas)),
        error);
}

static int how_it_ended(const struct outbox *outbox, kur_status status, const kur_error *error)
{
    switch (status) {
    case KUR_OK:
        return EXIT_DONE;
    case KUR_ERROR_TIMEOUT:
        command_note(outbox->stored.call.noun, "%s", error->message);
        return EXIT_PARTIAL;
    case KUR_ERROR_UNSUPPORTED:
        command_note(outbox->stored.call.noun, "%s", error->message);
        return EXIT_REFUSED;
    default:
        return database_fail(&outbox->stored, error);
    }
}

static int relay_until_the_end(struct outbox *outbox, struct place *place, kur_relay *relay)
{
    kur_error error = {0};
    kur_relay_health health = KUR_RELAY_HEALTH();
    pthread_t thread;
    struct telling telling = {.outbox = outbox,
                              .relay = relay,
                              .place = place,
                              .objects = {.output = outbox->stored.call.output},
                              .told_us = kur_clock_monotonic_us()};
    pthread_mutex_init(&telling.lock, NULL);
    kur_condition_init(&telling.ended);
    if (kur_thread_start(&thread, keep_telling, &telling) != 0)
        return command_fail(outbox->stored.call.noun, "there is no room for a thread");
    kur_status status = kur_relay_run(relay, &error);
    pthread_mutex_lock(&telling.lock);
    telling.ends = true;
    pthread_cond_signal(&telling.ended);
    pthread_mutex_unlock(&telling.lock);
    pthread_join(thread, NULL);
    if (kur_relay_health_read(relay, &health, NULL) == KUR_OK) {
        if (telling.last.size > 0) {
            health.depth = health.oldest_ms = 0;
            health.parked = telling.last.parked;
            health.behind = telling.last.behind;
            health.blocked = telling.last.blocked;
        }
        tell(&telling, &health);
    }
    json_end(&telling.objects);
    pthread_cond_destroy(&telling.ended);
    pthread_mutex_destroy(&telling.lock);
    return how_it_ended(outbox, status, &error);
}

static int run(struct invocation *call)
{
    struct outbox *outbox = outbox_of(call);
    struct place place;
    kur_error error = {0};
    int status = database_begin_outbox(&outbox->stored, &place);
    if (place.connection != NULL && !outbox->drains) { /* the relay has its own */
        place.driver->disconnect(place.connection);
        place.connection = NULL;
    }
    kur_relay *relay = status == EXIT_DONE ? make_relay(outbox, &place, &error) : NULL;
    if (relay != NULL)
        status = relay_until_the_end(outbox, &place, relay);
    else if (status == EXIT_DONE)
        status = how_it_ended(outbox, error.code, &error);
    kur_relay_free(relay);
    database_end(&place);
    return status;
}

/* ---- Options ---- */

static const struct option list[] = {
    {"--exactly-once", NULL,
     "readers of what is committed see each event once, by transactions of Kafka's; all relays of an outbox do so, or "
     "none",
     OPTION_IN(FLAG, struct outbox, is_exactly_once)},
    {"--control", "TOPIC", "with --exactly-once: the topic that tells what was sent; default kurier.outbox.ID",
     OPTION_IN(TEXT, struct outbox, control)},
    {"--replicas", "N", "of that topic, when it is made; default: the broker's",
     OPTION_IN(NUMBER, struct outbox, replicas), .least = 1, .most = 100},
    {"--transaction", "TIME", "with --exactly-once: the broker ends a transaction that is open for longer; default 15s",
     OPTION_IN(DURATION, struct outbox, transaction_ms)},
    {"--name", "NAME", "of this relay, unlike all others'; default: host, process and a number",
     OPTION_IN(TEXT, struct outbox, name)},
    {"--batch", "ROWS", "sent together, at most; default 4000", OPTION_IN(NUMBER, struct outbox, batch), .least = 1,
     .most = 100000},
    {"--batch-kib", "KIB", "likewise, their size; default 8192", OPTION_IN(NUMBER, struct outbox, batch_kbytes),
     .least = 1, .most = 65536},
    {"--poll", "TIME", "how long it waits at most before it looks whether there is something; default 50ms",
     OPTION_IN(DURATION, struct outbox, poll_ms)},
    {"--lease", "TIME", "how long it keeps its shards when it is silent; default 10s",
     OPTION_IN(DURATION, struct outbox, lease_ms)},
    {"--blocks-nothing", NULL,
     "what is refused does not hold back others of its key: the order of that key is given up",
     OPTION_IN(FLAG, struct outbox, blocks_nothing)},
    {"--drain", NULL, "end when nothing waits any more", OPTION_IN(FLAG, struct outbox, drains)},
    {"--every", "TIME", "tells so often how it is; default 10s", OPTION_IN(DURATION, struct outbox, every_ms)},
    {.name = NULL}};
static const struct options options = {.list = list};

const struct verb outbox_relay = {
    .name = "relay",
    .summary = "sends what is committed, until it is told to end",
    .about =
        "Sends what an outbox holds to Kafka, in order by key, and deletes what was sent, until SIGTERM or SIGINT; "
        "then it ends what is under way within 30 s, and a second signal gives that up. Several may run, wherever "
        "they are: they share the shards, and take over from one that dies. With a database or broker that is "
        "away it waits, and says so. Sent, per second, waiting, parked: a line now and then, or an object with "
        "-o jsonl; what goes wrong, and what is refused for good, on standard error.",
    .notes = "Exit status 2: it had to end with something under way, which is sent again. 3: relays of the other "
             "guarantee are at work, or the broker has no transactions.",
    .options = {&options, &output_options, &database_options, &connect_options},
    .needs_client = true,
    .state = &outbox_state.stored.call,
    .run = run};
