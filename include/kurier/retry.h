/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/retry.h>: what becomes of a record that failed: how often it is tried again, where it waits meanwhile, and
 * where it ends. The listener does all of this by itself; what else stands here names its topics and reads and writes
 * what their records tell, for tools and for services that share them.
 *
 *     .retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 6, .delay_ms = 1000, .multiplier = 4.0)
 *
 * A group's retry topics and dead letters of a topic are named for both, and never change with the policy:
 *
 *     orders.email.retry-short    delays under a minute
 *     orders.email.retry-medium   under an hour
 *     orders.email.retry-long     up to 30 days
 *     orders.email.retry-ordered  in place of the three where a key keeps its order
 *     orders.email.dlq            dead letters; orders.email.dlq-SUFFIX those of a route
 *
 * Part of libkurier-patterns.
 */
#ifndef KURIER_RETRY_H
#define KURIER_RETRY_H

#include <kurier/arena.h>
#include <kurier/bytes.h>
#include <kurier/client.h>
#include <kurier/consumer.h>

KUR_BEGIN_DECLS

/* ---- Policy ---- */

/** Where a record that failed waits for its next attempt. */
typedef enum kur_retry_mode {
    KUR_RETRY_IN_PLACE = 0, /**< in its order: those behind it wait, and all others go on */
    KUR_RETRY_BY_TOPIC,     /**< in a retry topic: those behind it go on at once, and the order of its key is given up,
                               unless `.keep_order` */
    KUR_RETRY_IN_PLACE_THEN_BY_TOPIC /**< in place for `.in_place_attempts`, then by topic */
} kur_retry_mode;

/** What `.timeout_ms` counts from. */
typedef enum kur_retry_since {
    KUR_SINCE_FIRST_FAILURE = 0,
    KUR_SINCE_RECORD /**< the timestamp of the record in its first topic */
} kur_retry_since;

/**
 * How a record that failed is tried again. Options within options: a pointer with a size of its own. Causes are names
 * as handlers give them ("smtp.timeout"); a list of them ends with NULL, and one that ends with `*` stands for all that
 * begin like it.
 */
typedef struct kur_retry_policy {
    size_t size;
    int attempts;         /**< of a record, counting the first; default 5; KUR_NONE: no end */
    int64_t delay_ms;     /**< before the second attempt; default 1,000 */
    double multiplier;    /**< of each further delay; default 2 */
    int64_t delay_max_ms; /**< default 60,000, or `.delay_ms` where that is more; up to 30 days */
    double jitter;        /**< the share of each delay that is drawn at random, 0 to 1; default 0.2; KUR_NONE: none */
    int64_t timeout_ms;   /**< no attempt begins later than that; default: none */
    kur_retry_mode mode;
    kur_retry_since timeout_since;
    int in_place_attempts;        /**< with KUR_RETRY_IN_PLACE_THEN_BY_TOPIC, counting the first; default 2 */
    const char *const *fatal;     /**< causes that are rejected at once whatever the handler said */
    const char *const *retriable; /**< when given, kur_retry with any other cause is a rejection */
    bool keep_order; /**< with topics: later records of a key follow the one that failed, and come after it; delays of
                        an hour at most, and docs/guide/retry.md says what it costs */
} kur_retry_policy;

#define KUR_RETRY_POLICY(...) KUR__OPTIONS(kur_retry_policy, __VA_ARGS__)

/* ---- Topics ---- */

/** Which of a group's topics. */
typedef enum kur_tier {
    KUR_TIER_MAIN = 0, /**< the topic itself */
    KUR_TIER_SHORT,
    KUR_TIER_MEDIUM,
    KUR_TIER_LONG,
    KUR_TIER_ORDERED,
    KUR_TIER_DEAD /**< dead letters */
} kur_tier;

/** Whose names and encodings stand on retry topics and dead letters. */
typedef enum kur_header_style {
    KUR_HEADERS_KURIER = 0, /**< `kurier-retry-…`, as text */
    KUR_HEADERS_SPRING      /**< Spring Kafka's, so that its services share the topics: see docs/guide/spring.md */
} kur_header_style;

/** What is done about topics that are missing, or not as they should be, when a listener starts. */
typedef enum kur_topics {
    KUR_TOPICS_CREATE = 0, /**< they are made; what differs in those that are there is told in the log */
    KUR_TOPICS_CHECK       /**< nothing is made: the listener ends with what is missing and the command that makes it */
} kur_topics;

/** What is done while dead letters cannot be written. */
typedef enum kur_dead_letter_failure {
    KUR_DEAD_LETTER_KEEP = 0, /**< the record stays unfinished and is written again and again; log and health tell */
    KUR_DEAD_LETTER_STOP      /**< the listener ends with the error; the record is unfinished as well */
} kur_dead_letter_failure;

/** Dead letters of one cause, or of all that begin like it, in a topic of their own. */
typedef struct kur_dead_letter_route {
    const char *cause;  /**< "smtp.*"; NULL ends a list */
    const char *suffix; /**< of the name: 1 to 32 of a-z 0-9 - */
} kur_dead_letter_route;

/** The retry topics and dead letters of a listener; everything has a default. */
typedef struct kur_retry_topics {
    size_t size;
    kur_topics topics;
    const char *prefix;   /**< in place of "TOPIC.GROUP", for each topic "PREFIX.TOPIC": for groups whose name no topic
                             may   have */
    int32_t partitions;   /**< default: as the source's; more are never made than that */
    int32_t replication;  /**< default: as the source's */
    int64_t retention_ms; /**< of dead letters; default: the source's, for ever when that is compacted */
    const kur_property *configs; /**< further settings of all of them; ends with a name of NULL */
    kur_header_style headers;
    kur_dead_letter_failure failure;
    const kur_dead_letter_route *routes; /**< the first that fits counts; ends with a cause of NULL */
    int window_records;                  /**< records that wait for their time in memory, at most; default 50,000 */
    int window_kbytes;                   /**< their size in KiB; default 32,768 */
    bool written_only; /**< retry topics are written and not read: services with Spring Kafka handle what waits there.
                            With KUR_HEADERS_SPRING alone */
} kur_retry_topics;

#define KUR_RETRY_TOPICS(...) KUR__OPTIONS(kur_retry_topics, __VA_ARGS__)

/**
 * Appends the name of a group's topic to `name`: "orders.email.retry-short"; with a `.prefix` in `topics` (NULL: all
 * defaults) "PREFIX.orders.retry-short"; with a `suffix` (or NULL), of dead letters only, "orders.email.dlq-SUFFIX".
 * With KUR_HEADERS_SPRING the names are Spring Kafka's, which do not tell groups apart: "orders-retry" for every tier,
 * "orders-dlt", and "orders-SUFFIX-dlt". KUR_TIER_MAIN gives `topic`.
 *
 * KUR_ERROR_INVALID_ARGUMENT when no topic can have that name, with the reason and what helps: a group with characters
 * outside of A-Z a-z 0-9 . _ -, or a name over 249 characters, needs a `.prefix`. KUR_ERROR_NO_MEMORY. `name` is as it
 * was when it fails. Any thread.
 *
 * Names are not unique by themselves: topic "orders" with group "email.eu" and topic "orders.email" with group "eu"
 * have the same ones, which is why records tell their group. And Kafka refuses to make a topic whose name differs from
 * another's only by `.` in place of `_`, since the names of its meters have `_` for both: "orders.email_eu.dlq" cannot
 * be where "orders.email.eu.dlq" is. A `.prefix` helps there, too.
 */
KUR_API kur_status kur_retry_topic(kur_buffer *name, const kur_retry_topics *topics, const char *topic,
                                   const char *group, kur_tier tier, const char *suffix, kur_error *error);

/**
 * The tier of a topic by the end of its name alone, ".retry-short" to ".dlq-SUFFIX"; KUR_TIER_MAIN for all others, NULL
 * and Spring Kafka's names among them. Any thread.
 */
KUR_API kur_tier kur_retry_tier_of(const char *topic);

/** The tier that a delay in microseconds belongs to: short, medium or long. Any thread. */
KUR_API kur_tier kur_retry_tier_for(int64_t delay_us);

/** "short", "medium", "long", "ordered", "dlq", "main". Static; any thread. */
KUR_API const char *kur_tier_name(kur_tier tier);

/* ---- What stands on a record ---- */

enum {
    KUR_RETRY_DAYS_MAX = 30,        /**< times are believed up to so far ahead; a later one counts as that */
    KUR_RETRY_ATTEMPTS_MAX = 10000, /**< an attempt that is higher counts as this */
    KUR_RETRY_HISTORY_MAX = 16      /**< attempts told one by one: the first one and the last fifteen */
};

/** One attempt that failed. */
typedef struct kur_attempt_view {
    size_t size;
    int attempt;
    int64_t at_us;     /**< when it ended, microseconds since 1970 */
    const char *cause; /**< "" when none was said */
} kur_attempt_view;

/**
 * What is told of a record on a retry topic or among dead letters. Texts are one line of UTF-8. In a view that is
 * written zero and NULL say nothing, and a topic comes with its partition and offset.
 */
typedef struct kur_retry_view {
    size_t size;
    int attempt; /**< on a retry topic the one that comes next, of a dead letter the last one that was made; from 1 on
                  */
    int64_t due_us;          /**< microseconds since 1970; 0: at once */
    int64_t first_failed_us; /**< 0: it has not failed yet, or that is not told */
    int64_t failed_us;       /**< last; 0 likewise */
    const char *topic;       /**< where it came from; NULL when that is not told, and then the three below are -1 */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_us; /**< the record's own there; -1: none, or later than the year 9999 */
    const char *group;    /**< byte for byte; NULL when it is not told */
    const char *cause;    /**< of the last failure, at most 255 bytes; "" when none is told */
    const char *message;  /**< likewise, at most 500 bytes */
    const char *code;     /**< where in the program it was said, "mail.c:88", at most 127 bytes; "" */
    size_t attempt_count;
    const kur_attempt_view *const *attempts; /**< those that failed, as far as they are told */
    int redriven;                            /**< how often it was sent again from the dead letters */
    const char *redrive_id;                  /**< the last time, at most 127 bytes; "" */
    bool is_stub;       /**< value or headers did not fit: what is missing is to be found at its origin */
    bool is_clamped;    /**< something in the headers was out of its limits, and is not believed as it stands */
    const char *writer; /**< on an ordered retry topic the listener that has forwarded it; "": none, it was sent there
                           again by hand */
} kur_retry_view;

#define KUR_RETRY_VIEW(...) KUR__OPTIONS(kur_retry_view, __VA_ARGS__)

/**
 * Reads the retry headers of a record, as one `style` has them: of each name the last one, by the limits above,
 * whatever else they hold. `now_us` is the present, for what is too far ahead. Texts live in `arena`. A record without
 * any gives attempt 1 and a NULL topic. Whether a record may be believed at all is for the caller to say: on a retry
 * topic of its group, never on a topic that anyone writes to.
 *
 * Never fails for what it reads: KUR_ERROR_INVALID_ARGUMENT for what is NULL or a style that is none,
 * KUR_ERROR_NO_MEMORY. It takes time by the number and size of the headers, and a few kilobytes of memory whatever they
 * hold, but for the name of a group. One thread at a time per record.
 */
KUR_API kur_status kur_retry_read(const kur_record *record, kur_header_style style, int64_t now_us, kur_arena *arena,
                                  kur_retry_view *view, kur_error *error);

/**
 * The headers of a record that goes to a topic of that `tier`: its own, byte for byte and in their order, without those
 * that kur_retry_is_header knows, then what `view` tells. Dead letters are not due, and on KUR_TIER_MAIN only
 * `.redriven` and `.redrive_id` are told.
 *
 * What must fit `max_bytes` (names, values and 10 bytes for each, as a batch counts them; 0: no bound) is cut in this
 * order: the history, the message, then of the record's own headers those that no longer fit, which makes it a stub.
 * What is still larger then is given as it is: that a record is to be tried again must be told. Some 2 kB and the
 * group's name are always enough.
 *
 * With KUR_HEADERS_SPRING times are of milliseconds, a due one rounded up; where no topic is told the record's own
 * position is, as Spring Kafka does; and what it has no header for stands in headers of ours beside its own.
 *
 * The array and what it points to live in `arena`, but for what is the record's own. KUR_ERROR_INVALID_ARGUMENT names
 * what is NULL or not valid in the view: a topic that is no topic's name or has no partition or offset, a group over
 * 32,767 bytes or with bytes that are no UTF-8. KUR_ERROR_NO_MEMORY. One thread at a time per record.
 */
KUR_API kur_status kur_retry_write(const kur_record *record, kur_header_style style, kur_tier tier,
                                   const kur_retry_view *view, size_t max_bytes, kur_arena *arena,
                                   const kur_header **headers, size_t *count, kur_error *error);

/**
 * Whether a header's name is one that retry topics and dead letters give a meaning to: those that begin with
 * "kurier-retry-", and with KUR_HEADERS_SPRING Spring Kafka's as well. Case counts. Any thread.
 */
KUR_API bool kur_retry_is_header(const char *name, kur_header_style style);

KUR_END_DECLS

#endif
