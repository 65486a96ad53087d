/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/event.h>: the envelope, CloudEvents 1.0 over Kafka (the CloudEvents specification and its Kafka protocol
 * binding, both 1.0.2): read from a record as a view, and what a publisher may say about the event it sends.
 */
#ifndef KURIER_EVENT_H
#define KURIER_EVENT_H

#include <kurier/arena.h>
#include <kurier/bytes.h>
#include <kurier/error.h>
#include <kurier/type.h>

KUR_BEGIN_DECLS

/** A record that a consumer received (<kurier/consumer.h>). */
typedef struct kur_record kur_record;

/** A service (<kurier/client.h>). */
typedef struct kur_client kur_client;

/** How an event stands in a record. */
typedef enum kur_event_mode {
    KUR_EVENT_PLAIN = 0,     /**< a record without an envelope: it has a topic, a key, headers and bytes */
    KUR_EVENT_BINARY = 1,    /**< attributes in ce_ headers, the data as the value */
    KUR_EVENT_STRUCTURED = 2 /**< the whole event as JSON in the value */
} kur_event_mode;

/**
 * An event as it was received. Owns nothing: its texts belong to the record, or, in structured mode, to the arena it
 * was read with, and are valid as long as both are. Texts end with NUL, are UTF-8 without control characters
 * (tracestate and baggage may hold tabs), and are NULL where the event has none. Set `.size` before reading:
 * `kur_event_view view = KUR_EVENT_VIEW();`, and `.client` in it where data may name a schema.
 */
typedef struct kur_event_view {
    size_t size;
    kur_event_mode mode;
    bool has_time;
    const char *id;
    const char *source;
    const char *type;
    const char *subject;
    const char *data_schema;
    const char *content_type;
    int64_t time_us;
    const char *correlation_id;
    const char *causation_id;
    const char *traceparent; /**< NULL unless it is valid (W3C Trace Context, level 1); then so is tracestate */
    const char *tracestate;
    const char *baggage;
    kur_bytes key;  /**< data NULL: the record has no key */
    kur_bytes data; /**< data NULL: a null value, a tombstone */
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_us;     /**< the record's own; -1 when it has none */
    const kur_record *record; /**< NULL in views that were not read from a record */
    const kur_header *parsed; /**< extensions of a structured event; use kur_event_extension */
    size_t parsed_count;
    kur_client *client; /**< whose .schemas decode the data; yours to set before reading, borrowed, and kept by
                             kur_event_read; in a handler it is set. NULL: none */
} kur_event_view;

#define KUR_EVENT_VIEW(...) KUR__OPTIONS(kur_event_view, __VA_ARGS__)

/**
 * Reads the envelope of a record. Binary mode and plain records take no memory; structured mode takes it from `arena`.
 * The mode goes by the header content-type: application/cloudevents… is structured, anything else binary when there is
 * a ce_ header, and plain otherwise. Of headers of the same name, compared without case, the last counts that is not
 * null.
 * Plain records get what other frameworks' headers give: id from `id`, `x-message-id`, `_watermill_message_uuid`;
 * correlation from `kafka_correlationId`, `correlation-id`, `correlation_id`, `CorrelationId`.
 * KUR_ERROR_NOT_AN_EVENT names the attribute that is missing or wrong, KUR_ERROR_TOO_LARGE, KUR_ERROR_SYNTAX (the JSON
 * of a structured event), KUR_ERROR_NO_MEMORY. One thread at a time per record.
 */
KUR_API kur_status kur_event_read(const kur_record *record, kur_arena *arena, kur_event_view *view, kur_error *error);

/**
 * An extension attribute by its CloudEvents name ("tenant" for the header ce_tenant), or NULL. Belongs to what the view
 * belongs to. One thread at a time per record.
 */
KUR_API const char *kur_event_extension(const kur_event_view *view, const char *name);

/** Whether the view's type is that of an event type: its name and its version. Any thread. */
KUR_API bool kur_event_is(const kur_event_view *view, const kur_type *type);

/**
 * Decodes the data as an event of `type`, by its content type. application/json, text/json, …+json: JSON, also with an
 * id of Confluent's before it. application/avro, application/vnd.apache.avro, …+avro: Avro, with the schema that the
 * header __value_schema_id or the first bytes name (kur_wire_format), else the type's own; avro/binary: likewise, but
 * no bytes are taken for a name. None: as what the header or the first bytes name, where the view's client has
 * .schemas, else JSON. Does not look at the view's own type. docs/decisions/wire.md has the details.
 *
 * A schema that is not known yet is asked for, which waits up to the client's .schema_wait_ms: on the first event with
 * it. What kur_schemas' functions return comes back as it is, and any that it does not name as KUR_ERROR_UNREACHABLE:
 * KUR_ERROR_UNREACHABLE, _TIMEOUT, _AUTHENTICATION, _AUTHORIZATION and _CONFIG say nothing of the event, which can be
 * decoded later; KUR_ERROR_UNKNOWN_SCHEMA is for good. KUR_ERROR_UNSUPPORTED for other content types, and for what
 * names a schema when the view has no client with .schemas; KUR_ERROR_MISMATCH for a tombstone, and a schema that the
 * type does not resolve; and what kur_json_read and kur_avro_read return. What the event points to lives in `arena`.
 * Any thread.
 */
KUR_API kur_status kur_event_decode(const kur_event_view *view, const kur_type *type, kur_arena *arena, void *event,
                                    kur_error *error);

/** How the record came about. */
typedef enum kur_delivery_status {
    KUR_FAILED = 1, /**< certainly not in the log */
    KUR_UNKNOWN,    /**< may be in the log: the answer never came, or was for a later record only */
    KUR_DELIVERED   /**< acknowledged by the broker: durable as its acks say */
} kur_delivery_status;

/** What became of a record that was sent. Valid during the callback only. */
typedef struct kur_result {
    size_t size;
    kur_delivery_status status;
    const char *topic; /**< NULL in results that kur_producer_send_wait filled in */
    int32_t partition;
    int64_t offset;       /**< -1 unless delivered */
    int64_t timestamp_us; /**< -1 when not known */
    kur_error error;      /**< KUR_OK when delivered */
} kur_result;

/**
 * Takes the result of one record. Called exactly once for each record that was accepted: on the producer's own thread,
 * or in kur_producer_dispatch, or in kur_producer_free; never inside the call that sent the record. It may send more,
 * and must not wait for results, flush or free the producer.
 */
typedef void kur_result_callback(const kur_result *result, void *user);

/**
 * The header by which a record asks not to be handled before a time (RFC 3339): listeners with .allow_due keep it in
 * their retry topics until then, all others handle it at once.
 */
#define KUR_DUE_HEADER "kurier-due"

/** What a publisher may say of an event; everything has a default. All pointers are borrowed for the call. */
typedef struct kur_publish_options {
    size_t size;
    const char *topic;  /**< default: the type's own */
    int32_t partition;  /**< KUR_PARTITION(n); default: chosen by the key, as Java's clients do */
    kur_bytes key;      /**< default: the key field's text */
    const char *id;     /**< default: a new UUID, version 7 */
    const char *source; /**< default: the client's */
    const char *subject;
    int64_t time_us; /**< default: now */
    const char *data_schema;
    const char *content_type;     /**< default: the format's */
    const char *correlation_id;   /**< default: the parent's, else the parent's id, else the event's own id */
    const char *causation_id;     /**< default: the parent's id */
    const kur_event_view *parent; /**< the event that this one answers: correlation, causation and trace come from it */
    const char *traceparent;      /**< default: the parent's */
    const char *tracestate;
    const char *baggage;
    const kur_header
        *extensions; /**< CloudEvents extensions: names [a-z0-9]{1,20} without ce_, none twice, values UTF-8 */
    size_t extension_count;
    const kur_header *headers; /**< further headers as they are; none that begin with ce_ */
    size_t header_count;
    kur_event_mode mode;            /**< KUR_EVENT_STRUCTURED on request; default binary */
    int64_t timestamp_us;           /**< the record's own timestamp; default: now */
    kur_result_callback *on_result; /**< default: nobody; what fails is logged */
    void *user;                     /**< handed to on_result */
    int64_t due_us;    /**< not to be handled before that, microseconds since 1970: KUR_DUE_HEADER; default: at once */
    kur_format format; /**< default: the type's, else the client's; not for data that are encoded already */
} kur_publish_options;

#define KUR_PUBLISH_OPTIONS(...) KUR__OPTIONS(kur_publish_options, __VA_ARGS__)

/** An explicit partition, in options where 0 means "chosen by the key". */
#define KUR_PARTITION(number) ((number) + 1)

KUR_END_DECLS

#endif
