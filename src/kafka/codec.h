/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How a client's events become bytes and back: JSON, or Avro with schemas that are kept elsewhere. codec.c encodes and
 * decodes, codec_frame.c tells the forms of the wire apart, codec_cache.c keeps what was found out.
 */
#ifndef KURIER_KAFKA_CODEC_H
#define KURIER_KAFKA_CODEC_H

#include <kurier/avro.h>
#include <kurier/client.h>
#include <kurier/event.h>
#include <kurier/sys/codec.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    KUR__CODEC_ENTRIES = 4096,          /* kept at most, and */
    KUR__CODEC_READ = 3072,             /* of what others name */
    KUR__CODEC_BYTES = 64 * 1024 * 1024 /* of the schemas' texts of that */
};

/* ---- What was found out, in codec_cache.c ---- */

/* By what. */
typedef enum kur__codec_by {
    KUR__BY_TYPE = 0, /* the type's own: plan and schema */
    KUR__BY_TOPIC,    /* where the schema of what is written there is kept */
    KUR__BY_ID,       /* a plan of what is read, and so the next */
    KUR__BY_GUID,
    KUR__BY_FINGERPRINT
} kur__codec_by;

typedef struct kur__codec_key {
    kur__codec_by by;
    const kur_type *type;
    kur_bytes name; /* topic, id, GUID, fingerprint: as they are on the wire */
} kur__codec_key;

typedef struct kur__codec_entry {
    kur__codec_key key;
    uint32_t hash;
    bool is_kept;        /* else it is the caller's */
    kur_avro_plan *plan; /* NULL for a place, and for a schema of another kind than Avro's */
    kur_schema *schema;  /* the type's own */
    kur_schema_place place;
    char name[];
} kur__codec_entry;

typedef struct kur__codec_table kur__codec_table;

/* Of a client. Zero is empty. */
typedef struct kur__codec_cache {
    _Atomic(kur__codec_table *) table; /* read by anybody, without the lock */
    pthread_mutex_t lock;              /* guards what changes it */
    size_t count, read, bytes;         /* entries; of those, what others name; its bytes */
} kur__codec_cache;

void kur__codec_cache_init(kur__codec_cache *cache);
void kur__codec_cache_done(kur__codec_cache *cache);

/* What was found out; NULL: nothing yet. Lives as long as the cache. Any thread; does not wait. */
const kur__codec_entry *kur__codec_find(kur__codec_cache *cache, const kur__codec_key *key);

/* One to be filled in, the caller's. NULL: no memory. */
kur__codec_entry *kur__codec_entry_new(const kur__codec_key *key);

/*
 * Keeps it, if there is room; returns it, or what somebody else has kept meanwhile. Without a cache it is not kept.
 */
const kur__codec_entry *kur__codec_keep(kur__codec_cache *cache, kur__codec_entry *made);

/* The caller is through with it: frees what is not kept. NULL does nothing. */
void kur__codec_leave(const kur__codec_entry *entry);

/* ---- The forms of the wire, in codec_frame.c ---- */

typedef enum kur__content {
    KUR__CONTENT_NONE = 0,
    KUR__CONTENT_JSON,
    KUR__CONTENT_AVRO,
    KUR__CONTENT_BARE, /* avro/binary: Avro without anything before it */
    KUR__CONTENT_OTHER
} kur__content;

kur__content kur__content_of(const char *content_type);

/* A value as it came in: what names its schema, and what is behind that. */
typedef struct kur__frame {
    bool is_json;     /* whatever names a schema is of no use */
    kur__codec_by by; /* KUR__BY_TYPE: nothing names one */
    kur_bytes name;
    kur_bytes body;
} kur__frame;

/* `finds`: there is somewhere to look for schemas. KUR_ERROR_UNSUPPORTED, KUR_ERROR_SYNTAX. */
kur_status kur__frame_take(const kur_event_view *view, bool finds, kur__frame *frame, kur_error *error);

/* Appends what stands before the data, or puts it into the encoding. KUR_ERROR_CONFIG: the place has no such name. */
kur_status kur__frame_put(kur_wire_format wire, const kur_schema_place *place, uint64_t fingerprint, kur_buffer *data,
                          kur_encoding *encoding, kur_error *error);

/* How messages call what names a schema: "id 7". */
typedef struct kur__name_words {
    char text[64];
} kur__name_words;
kur__name_words kur__frame_words(kur__codec_by by, kur_bytes name);

/* Their numbers. */
uint32_t kur__frame_id(kur_bytes name);
uint64_t kur__frame_fingerprint(kur_bytes name);

/* ---- A client's ---- */

typedef struct kur__codec {
    kur_schemas schemas;
    bool has_schemas;
    kur_format format;
    kur_wire_format wire;
    bool names_schema;
    int wait_ms;
    kur__codec_cache cache;
} kur__codec;

/* KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_CONFIG. Followed by kur__codec_done whatever it returns. */
kur_status kur__codec_init(kur__codec *codec, const kur_client_options *options, kur_error *error);
void kur__codec_done(kur__codec *codec);

/*
 * The schema that a frame names, by id, GUID or fingerprint; the caller's reference. What is returned beyond
 * kur_schemas' contract counts as "not now".
 */
kur_status kur__codec_ask(const kur_schemas *schemas, const kur__frame *frame, int wait_ms, kur_schema **schema,
                          kur_error *error);

#endif
