/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the files behind <kurier/retry.h> share: reading values that came from outside, and collecting headers that are
 * to be written.
 */
#ifndef KURIER_PATTERNS_RETRY_H
#define KURIER_PATTERNS_RETRY_H

#include <kurier/retry.h>

enum {
    KUR__RETRY_CAUSE_MAX = 255,
    KUR__RETRY_MESSAGE_MAX = 500,
    KUR__RETRY_TEXT_MAX = 127,
    KUR__RETRY_GROUP_MAX = 32767 /* the longest text of Kafka's protocol */
};

/* What headers tell, and what each is called behind "kurier-retry-". */
#define KUR__RETRY_PARTS(X)                                                                                            \
    X(ATTEMPT, "attempt")                                                                                              \
    X(DUE, "due")                                                                                                      \
    X(FIRST_FAILED, "first-failed")                                                                                    \
    X(FAILED, "failed")                                                                                                \
    X(TOPIC, "topic")                                                                                                  \
    X(PARTITION, "partition")                                                                                          \
    X(OFFSET, "offset")                                                                                                \
    X(TIMESTAMP, "timestamp")                                                                                          \
    X(GROUP, "group")                                                                                                  \
    X(CAUSE, "cause")                                                                                                  \
    X(MESSAGE, "message")                                                                                              \
    X(CODE, "code")                                                                                                    \
    X(HISTORY, "history")                                                                                              \
    X(REDRIVEN, "redriven")                                                                                            \
    X(REDRIVE_ID, "redrive-id")                                                                                        \
    X(STUB, "stub")                                                                                                    \
    X(WRITER, "writer")

typedef enum kur__retry_part {
#define KUR__RETRY_PART(part, name) KUR__RETRY_##part,
    KUR__RETRY_PARTS(KUR__RETRY_PART)
#undef KUR__RETRY_PART
    KUR__RETRY_PART_COUNT
} kur__retry_part;

/* ---- Reading: fields.c ---- */

/*
 * Each takes a value (data NULL: there is none, which gives `otherwise`) and notes what is out of its limits. Memory
 * that is not there is noted, too, and what is returned then is of no use.
 */
typedef struct kur__retry_reader {
    kur_arena *arena;
    int64_t latest_us; /* times are believed up to here */
    bool is_clamped;
    bool is_out_of_memory;
} kur__retry_reader;

void kur__retry_reader_begin(kur__retry_reader *reader, kur_arena *arena, int64_t now_us);

/* A decimal number without a sign. Above `most` it is `above`, anything else that is wrong is `otherwise`. */
int64_t kur__retry_number(kur__retry_reader *reader, kur_bytes value, int64_t least, int64_t most, int64_t otherwise,
                          int64_t above);

/* An instant since 1970, at most latest_us. */
int64_t kur__retry_time(kur__retry_reader *reader, kur_bytes value);

/* The same of a record's own, which may be any and is -1 when there is none. */
int64_t kur__retry_timestamp(kur__retry_reader *reader, kur_bytes value);

/* One line of UTF-8 of at most `most` bytes, "" for none. What had to be changed is out of limits when `is_strict`. */
const char *kur__retry_text(kur__retry_reader *reader, kur_bytes value, size_t most, bool is_strict);

/* Printable ASCII without spaces. */
const char *kur__retry_cause(kur__retry_reader *reader, kur_bytes value);

/* The name of a topic, or NULL. */
const char *kur__retry_topic_name(kur__retry_reader *reader, kur_bytes value);

/* The name of a group byte for byte, or NULL. */
const char *kur__retry_group(kur__retry_reader *reader, kur_bytes value);
bool kur__retry_is_group(kur_bytes value);

/* Topic, partition and offset are an origin only together, and a timestamp belongs to one. */
void kur__retry_origin(kur__retry_reader *reader, kur_retry_view *view);

/*
 * One line of UTF-8 of at most `most` bytes, and a cause, out of `size` bytes, into `to`, which has the room and gets a
 * NUL. They return the length; `*is_changed` when it is not what came in.
 */
size_t kur__retry_clean(char *to, const char *from, size_t size, size_t most, bool *is_changed);
size_t kur__retry_clean_cause(char *to, const char *from, size_t size, bool *is_changed);

/* ---- History: history.c ---- */

void kur__retry_history_read(kur__retry_reader *reader, kur_bytes value, kur_retry_view *view);

enum {
    KUR__RETRY_HISTORY_SIZE = KUR_RETRY_HISTORY_MAX * (KUR__RETRY_CAUSE_MAX + 48)
};

/* Writes the attempts of a view, `*size` bytes: 0 when there are none. KUR_ERROR_INVALID_ARGUMENT. */
kur_status kur__retry_history_write(const kur_retry_view *view, char text[KUR__RETRY_HISTORY_SIZE], size_t *size,
                                    kur_error *error);

/* ---- Writing: writer.c ---- */

enum {
    KUR__RETRY_NUMBER_SIZE = 20 /* of the longest number */
};

/* Writes a number of 0 or more without a NUL; how long it is. */
size_t kur__retry_put_number(char *to, int64_t number);

/* What goes first when headers must fit. */
typedef enum kur__retry_rank {
    KUR__RETRY_NEEDED = 0,
    KUR__RETRY_IS_MESSAGE,
    KUR__RETRY_IS_HISTORY
} kur__retry_rank;

typedef struct kur__retry_writer {
    kur_arena *arena;
    size_t count;
    bool is_out_of_memory;
    struct {
        kur_header header;
        kur__retry_rank rank;
    } told[32];
} kur__retry_writer;

void kur__retry_writer_begin(kur__retry_writer *writer, kur_arena *arena);
/* Adds a header, whose name is static and whose value is copied; what has no name says nothing. */
void kur__retry_add(kur__retry_writer *writer, const char *name, kur__retry_rank rank, const void *data, size_t size);
/* Those of this library. What is empty adds nothing, and so does a time that has no text. */
void kur__retry_add_number(kur__retry_writer *writer, kur__retry_part part, int64_t number);
void kur__retry_add_time(kur__retry_writer *writer, kur__retry_part part, int64_t time_us);
void kur__retry_add_bytes(kur__retry_writer *writer, kur__retry_part part, kur_bytes value);
void kur__retry_add_text(kur__retry_writer *writer, kur__retry_part part, const char *text, size_t most);

/* The record's own headers, then what was added, within `max_bytes`. */
kur_status kur__retry_compose(kur__retry_writer *writer, const kur_record *record, kur_header_style style,
                              size_t max_bytes, const kur_header **headers, size_t *count, kur_error *error);

/* ---- Spring's: spring.c ---- */

bool kur__spring_is_header(const char *name);

/* All of a view but what is in headers of ours in both styles. */
void kur__spring_read(kur__retry_reader *reader, const kur_record *record, kur_retry_view *view);
void kur__spring_write(kur__retry_writer *writer, const kur_record *record, kur_tier tier, const kur_retry_view *view);

#endif
