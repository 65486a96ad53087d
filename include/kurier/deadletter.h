/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/deadletter.h>: dead letters, read and judged: which are there and why they died, by the thousand; kept as
 * lines of JSON and brought back without loss; and put aside for good, with a reason that stays. What `kurier dlq` does
 * at the command line is done with this.
 *
 *     kur_letter_reader *reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics), &error);
 *     kur_letter_groups *groups = kur_letter_groups_new(NULL, &error);
 *     const kur_letter *letter;
 *     while ((status = kur_letter_reader_next(reader, &letter, &error)) == KUR_OK && letter != NULL)
 *         status = kur_letter_groups_add(groups, letter, &error);
 *
 * Nothing here has a group or commits anything: whoever reads disturbs nobody. Part of libkurier-patterns.
 */
#ifndef KURIER_DEADLETTER_H
#define KURIER_DEADLETTER_H

#include <kurier/client.h>
#include <kurier/consumer.h>
#include <kurier/producer.h>
#include <kurier/retry.h>

KUR_BEGIN_DECLS

/** An expression that says which records are meant (<kurier/filter.h>). */
typedef struct kur_filter kur_filter;

/**
 * The compacted topic in which stands what was done to dead letters, by whom and why. Keys of discards are
 * "discard TOPIC PARTITION OFFSET"; other keys are passed over. docs/guide/dead-letters.md has the form of the values.
 */
#define KUR_LETTER_AUDIT_TOPIC "kurier.redrive"

/** Whether a topic holds dead letters, by its name: NAME.dlq, NAME.dlq-SUFFIX, and Spring Kafka's NAME-dlt. Any thread.
 */
KUR_API bool kur_letter_is_topic(const char *topic);

/* ---- One letter ---- */

/**
 * A dead letter. Owns nothing: it is valid until the next one is read, or until the record and the arena that it was
 * read with are gone. Texts are never NULL unless it is said; they are what somebody wrote, and may hold anything but
 * control characters in `type`.
 */
typedef struct kur_letter {
    size_t size;
    const char *topic; /**< the dead letters', in which it stands */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_us;        /**< when it was put there; -1: not told */
    int64_t failed_us;           /**< its last failure, else `timestamp_us` */
    const char *type;            /**< the event's, else Spring's __TypeId__, else "" */
    const kur_retry_view *retry; /**< why it died, and where it came from; never NULL */
    const kur_event_view *event; /**< NULL when it is no valid event, or has no envelope */
    const kur_record *record;
    kur_header_style style; /**< whose headers `retry` was read from */
    bool is_discarded;
} kur_letter;

/**
 * Reads a record as a dead letter, whatever stands in it. Views live in `arena`. KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_NO_MEMORY. One thread at a time per record.
 */
KUR_API kur_status kur_letter_read(const kur_record *record, kur_arena *arena, kur_letter *letter, kur_error *error);

/**
 * The SHA-256 of a letter's bytes as 64 hexadecimal digits and a NUL, by which the audit knows it again: of key, value,
 * number of headers, and each header's name and value, each behind its length in eight bytes, big-endian (all ones for
 * a null), and of the timestamp in milliseconds in eight bytes. One thread at a time per record.
 */
KUR_API void kur_letter_hash(const kur_letter *letter, char text[65]);

/* ---- Filters ---- */

/**
 * Which letters are meant; what is left out does not matter. Texts are names, and one that ends with `*` stands for all
 * that begin like it.
 */
typedef struct kur_letter_filter {
    size_t size;
    const char *cause;
    const char *type;
    const char *group;       /**< that failed */
    const char *origin;      /**< the topic that it came from */
    int64_t older_than_ms;   /**< its last failure is at least so long ago */
    int64_t younger_than_ms; /**< less than so long ago */
    kur_bytes key;           /**< data NULL: any */
    int32_t partition;       /**< KUR_PARTITION(n) of the dead letters' topic; only that one is read */
    int64_t from_offset;     /**< there; what is before is not read */
    int64_t to_offset;       /**< the one behind the last; 0: to the end */
    const kur_filter *where; /**< beside all that; a reader takes a copy. Default: all */
} kur_letter_filter;

#define KUR_LETTER_FILTER(...) KUR__OPTIONS(kur_letter_filter, __VA_ARGS__)

/** Whether a letter is meant; a filter of NULL means all. Any thread. */
KUR_API bool kur_letter_fits(const kur_letter *letter, const kur_letter_filter *filter, int64_t now_us);

/* ---- Reading them ---- */

/** Reads dead letters one after the other, each partition's in its order. One thread at a time. */
typedef struct kur_letter_reader kur_letter_reader;

/** How far a reader is. */
typedef struct kur_letter_progress {
    size_t size;
    int64_t passed;     /**< offsets that are behind it, of all partitions */
    int64_t total;      /**< offsets that there were when it started; they may hold no letter (marks of transactions) */
    int64_t read;       /**< letters that were looked at */
    int64_t given;      /**< letters that fitted */
    int64_t discarded;  /**< letters that were left out because they are */
    int64_t lost;       /**< offsets that went while it read: retention */
    int64_t unreadable; /**< offsets whose bytes the broker could not give whole */
} kur_letter_progress;

#define KUR_LETTER_PROGRESS(...) KUR__OPTIONS(kur_letter_progress, __VA_ARGS__)

/**
 * Told how far a reader is, about five times a second, in kur_letter_reader_next on its thread; false ends the reading
 * with KUR_ERROR_CANCELLED. May not use the reader.
 */
typedef bool kur_letter_progress_callback(const kur_letter_progress *progress, void *user);

/** What kur_letter_reader_new is told; only the topics have no default. */
typedef struct kur_letter_reader_options {
    size_t size;
    const char *const *topics; /**< ends with NULL */
    const kur_letter_filter *filter;
    bool with_discarded; /**< gives those too; then the audit's topic is not read and `is_discarded` is false */
    int timeout_ms;      /**< nothing new for so long is an error; default 30,000 */
    kur_letter_progress_callback *on_progress;
    void *user;
} kur_letter_reader_options;

#define KUR_LETTER_READER_OPTIONS(...) KUR__OPTIONS(kur_letter_reader_options, __VA_ARGS__)

/**
 * A reader from the beginning of the topics to the ends that they have when it starts; it does not wait, and copies its
 * options. What it holds in memory does not grow with the letters, but 64 bytes at most for each that is discarded.
 * NULL with KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_CONFIG, KUR_ERROR_NO_MEMORY. Holds a reference to the client.
 */
KUR_API kur_letter_reader *kur_letter_reader_new(kur_client *client, const kur_letter_reader_options *options,
                                                 kur_error *error);

/**
 * The next letter that fits, valid until the next call; NULL behind the last. Waits for brokers. KUR_ERROR_TIMEOUT,
 * KUR_ERROR_UNKNOWN_TOPIC, KUR_ERROR_AUTHORIZATION (name the topic; the audit's must be readable), KUR_ERROR_CANCELLED,
 * KUR_ERROR_NO_MEMORY, and what kur_consumer_poll returns. After an error there is nothing more.
 */
KUR_API kur_status kur_letter_reader_next(kur_letter_reader *reader, const kur_letter **letter, kur_error *error);

/** How far it is. KUR_ERROR_INVALID_ARGUMENT. Does not wait. */
KUR_API kur_status kur_letter_reader_progress(const kur_letter_reader *reader, kur_letter_progress *progress,
                                              kur_error *error);

/** Frees a reader; NULL does nothing. Not from its callback. */
KUR_API void kur_letter_reader_free(kur_letter_reader *reader);

/* ---- Groups of them ---- */

/** What letters of one group have in common. */
enum {
    KUR_LETTERS_BY_CAUSE = 1,
    KUR_LETTERS_BY_TYPE = 2,
    KUR_LETTERS_BY_CODE = 4,  /**< where in the program it was said */
    KUR_LETTERS_BY_GROUP = 8, /**< the consumers' that failed */
    KUR_LETTERS_BY_TOPIC = 16 /**< the dead letters' */
};

/** Letters counted by what they died of. Memory goes by the number of groups. One thread at a time. */
typedef struct kur_letter_groups kur_letter_groups;

/** What kur_letter_groups_new is told. */
typedef struct kur_letter_groups_options {
    size_t size;
    unsigned by; /**< KUR_LETTERS_BY_…; default: cause, type and code */
    int max;     /**< groups; letters of further ones are counted together. Default 10,000 */
} kur_letter_groups_options;

#define KUR_LETTER_GROUPS_OPTIONS(...) KUR__OPTIONS(kur_letter_groups_options, __VA_ARGS__)

/** A group of letters. What they are not grouped by is NULL; texts are cut at 255 bytes. */
typedef struct kur_letter_group {
    size_t size;
    const char *cause;
    const char *type;
    const char *code;
    const char *group;
    const char *topic;
    int64_t count;
    int64_t first_us; /**< the earliest of their last failures; -1: none has a time */
    int64_t last_us;
    const char *sample_topic; /**< where one of them stands: the last one that failed */
    int32_t sample_partition;
    int64_t sample_offset;
    bool is_rest; /**< all that had no room among the groups; stands last */
} kur_letter_group;

/** Groups, the largest first. */
typedef struct kur_letter_group_list {
    size_t count;
    const kur_letter_group *const *items;
} kur_letter_group_list;

/** Counts nothing yet. NULL with KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. */
KUR_API kur_letter_groups *kur_letter_groups_new(const kur_letter_groups_options *options, kur_error *error);

/** Counts a letter. KUR_ERROR_INVALID_ARGUMENT; KUR_ERROR_NO_MEMORY, and it is not counted. */
KUR_API kur_status kur_letter_groups_add(kur_letter_groups *groups, const kur_letter *letter, kur_error *error);

/** What was counted, in `arena`. KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. */
KUR_API kur_status kur_letter_groups_list(const kur_letter_groups *groups, kur_arena *arena,
                                          kur_letter_group_list *list, kur_error *error);

/** Frees them; NULL does nothing. */
KUR_API void kur_letter_groups_free(kur_letter_groups *groups);

/* ---- Topics of them ---- */

/** A topic of dead letters. */
typedef struct kur_letter_topic {
    size_t size;
    const char *name;
    int32_t partition_count;
    int64_t count;     /**< offsets in its logs; with transactions their marks count as well */
    int64_t discarded; /**< letters among them that are discarded; -1: not known */
    int64_t oldest_us; /**< when the oldest was put there; -1: there is none, or it has no time */
    int64_t newest_us;
    int64_t retention_ms; /**< KUR_NONE: for ever; 0: not known */
    int64_t expires_us;   /**< when the oldest will go, by its age; 0: never, or not known */
    bool is_compacted;    /**< of letters with one key only the last stays: that is a mistake */
} kur_letter_topic;

/** Topics, by name. */
typedef struct kur_letter_topic_list {
    size_t count;
    const kur_letter_topic *const *items;
} kur_letter_topic_list;

/**
 * All topics of dead letters that this client may see, in `arena`; `is_named` (or NULL) says which of them are meant,
 * and is called within. What may not be asked of them is told as not known. KUR_ERROR_TIMEOUT and what
 * kur_admin_list_topics and kur_letter_reader_next return. Waits; any thread.
 */
KUR_API kur_status kur_letter_topics(kur_client *client, bool (*is_named)(const char *topic, void *user), void *user,
                                     int timeout_ms, kur_arena *arena, kur_letter_topic_list *list, kur_error *error);

/* ---- Lines of JSON ---- */

/** The longest line that is read. */
#define KUR_LETTER_LINE_MAX (128 * 1024 * 1024)

/** A letter as a line of JSON tells it: what the record was, byte for byte. Its texts and bytes live in an arena. */
typedef struct kur_letter_line {
    size_t size;
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /**< Kafka's own; -1: none */
    kur_bytes key;        /**< data NULL: none */
    kur_bytes value;      /**< likewise */
    const kur_header *headers;
    size_t header_count;
} kur_letter_line;

#define KUR_LETTER_LINE(...) KUR__OPTIONS(kur_letter_line, __VA_ARGS__)

/**
 * Appends a letter as a line of JSON, its newline included, in ASCII and with nothing that moves a terminal's cursor.
 * What is UTF-8 stands as text, anything else as {"base64": "…"}. Nothing is masked. On failure the buffer is as it
 * was. KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. One thread at a time per record.
 */
KUR_API kur_status kur_letter_export(const kur_letter *letter, kur_buffer *lines, kur_error *error);

/**
 * Reads one line, with or without its newline. Members of the outermost object that are not known are errors, but for
 * "letter", which is for people. KUR_ERROR_SYNTAX names what is wrong and where, KUR_ERROR_TOO_LARGE,
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_letter_parse(kur_bytes text, kur_arena *arena, kur_letter_line *line, kur_error *error);

/* ---- Writing ---- */

/** Discards letters and brings exported ones back. One thread at a time. */
typedef struct kur_letter_writer kur_letter_writer;

/** What became of what a writer was given. */
typedef struct kur_letter_counts {
    size_t size;
    int64_t given;
    int64_t written;
    int64_t failed;  /**< certainly not written */
    int64_t unknown; /**< may have been written: the answer never came */
} kur_letter_counts;

#define KUR_LETTER_COUNTS(...) KUR__OPTIONS(kur_letter_counts, __VA_ARGS__)

/**
 * Told what has become of what a writer was given, about five times a second while one of its functions waits for room
 * or for results, on the thread of that; false ends the wait: kur_letter_writer_finish then counts the rest as unknown,
 * the others return KUR_ERROR_CANCELLED and have not taken what they were given. May not use the writer.
 */
typedef bool kur_letter_writer_callback(const kur_letter_counts *counts, void *user);

/** What kur_letter_writer_new may be told. */
typedef struct kur_letter_writer_options {
    size_t size;
    int timeout_ms; /**< how long a broker is waited for, or room for one more; default 30,000 */
    kur_letter_writer_callback *on_progress;
    void *user;
} kur_letter_writer_options;

#define KUR_LETTER_WRITER_OPTIONS(...) KUR__OPTIONS(kur_letter_writer_options, __VA_ARGS__)

/**
 * A writer with a producer of its own, which takes records of any size; does not wait. `options` may be NULL. NULL with
 * KUR_ERROR_INVALID_ARGUMENT and what kur_producer_new returns. Holds a reference to the client.
 */
KUR_API kur_letter_writer *kur_letter_writer_new(kur_client *client, const kur_letter_writer_options *options,
                                                 kur_error *error);

/**
 * Puts a letter aside: readers leave it out from then on. It stays where it is, and goes by its topic's retention. What
 * is kept in the audit's topic, which the first call makes when it is missing, is `reason`, `who` and the letter's
 * hash, never what stands in it. Texts are UTF-8, 1 to 1,000 bytes. Returns before it is written.
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY, KUR_ERROR_CANCELLED, and what kur_admin_ensure_topics and
 * kur_producer_send return.
 */
KUR_API kur_status kur_letter_writer_discard(kur_letter_writer *writer, const kur_letter *letter, const char *reason,
                                             const char *who, kur_error *error);

/**
 * Writes what a line tells to `topic`, exactly: key, value, headers, timestamp, and the number of the partition where
 * the topic has it, else the key's. A line without a time gets the present one. Returns before it is written.
 * KUR_ERROR_UNKNOWN_TOPIC, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY, KUR_ERROR_CANCELLED, and what
 * kur_admin_list_topics and kur_producer_send return.
 */
KUR_API kur_status kur_letter_writer_import(kur_letter_writer *writer, const char *topic, const kur_letter_line *line,
                                            kur_error *error);

/**
 * Waits for everything that was given. KUR_OK when all of it is written; KUR_ERROR_UNKNOWN_OUTCOME when of some it is
 * not known, also because the time was over; else what the first one failed with. KUR_ERROR_INVALID_ARGUMENT. `counts`
 * may be NULL.
 */
KUR_API kur_status kur_letter_writer_finish(kur_letter_writer *writer, int timeout_ms, kur_letter_counts *counts,
                                            kur_error *error);

/** Frees a writer, which waits for its producer as kur_producer_free does; NULL does nothing. */
KUR_API void kur_letter_writer_free(kur_letter_writer *writer);

KUR_END_DECLS

#endif
