/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Records whose value, or a header, may name a schema. The input: a byte that chooses the content type, one whose bits
 * say who reads and whether there is a header, the header up to 0xFF, and the value. What is read is valid, and is read
 * again from every form that it can be written in; what is refused says why, takes little memory and leaves the event
 * as it was.
 */
#include <kurier/client.h>
#include <kurier/sys/codec.h>
#include <kurier/sys/message.h>
#include <kurier/sys/record.h>

#include "fuzz.h"
#include "kafka/codec.h"
#include "shop.h"

enum {
    MEMORY_MAX = 33 * 1024 * 1024,
    OWN = 7,
    OLD = 8,
    OF_JSON = 9,
    OTHER = 10,
    AWAY = 11,
    BROKEN = 12
};

static kur_schema *own, *old, *other;

/* ---- Schemas, by an id, which is also a GUID's last byte, and a fingerprint ---- */

static kur_status find(uint32_t id, kur_schema **schema, kur_error *error)
{
    static const kur_status statuses[] = {
        [OF_JSON] = KUR_ERROR_UNSUPPORTED, [AWAY] = KUR_ERROR_UNREACHABLE, [BROKEN] = KUR_ERROR_SYNTAX};
    kur_schema *found = id == OWN ? own : id == OLD ? old : id == OTHER ? other : NULL;
    if (found != NULL) {
        *schema = kur_schema_ref(found);
        return KUR_OK;
    }
    bool is_known = id < sizeof statuses / sizeof *statuses && statuses[id] != KUR_OK;
    return kur_error_set(error, is_known ? statuses[id] : KUR_ERROR_UNKNOWN_SCHEMA, "there is none of %u",
                         (unsigned)id);
}

static kur_status by_id(void *state, uint32_t id, int timeout_ms, kur_schema **schema, kur_error *error)
{
    (void)state;
    (void)timeout_ms;
    return find(id, schema, error);
}

static kur_status by_guid(void *state, const kur_uuid *guid, int timeout_ms, kur_schema **schema, kur_error *error)
{
    (void)state;
    (void)timeout_ms;
    const kur_uuid known = {.bytes[15] = guid->bytes[15]};
    return find(memcmp(guid, &known, sizeof known) == 0 ? known.bytes[15] : 0, schema, error);
}

static kur_status by_fingerprint(void *state, uint64_t fingerprint, int timeout_ms, kur_schema **schema,
                                 kur_error *error)
{
    (void)state;
    (void)timeout_ms;
    return find(fingerprint <= UINT8_MAX ? (uint32_t)fingerprint : 0, schema, error);
}

static kur_status place(void *state, const char *topic, kur_schema *schema, int timeout_ms, kur_schema_place *result,
                        kur_error *error)
{
    (void)state;
    (void)topic;
    (void)schema;
    (void)timeout_ms;
    (void)error;
    result->id = OWN;
    result->has_guid = true;
    result->guid = (kur_uuid){.bytes[15] = OWN};
    return KUR_OK;
}

static const kur_schemas schemas = {
    .size = sizeof schemas, .by_id = by_id, .by_guid = by_guid, .by_fingerprint = by_fingerprint, .place = place};

/* ---- Clients: one for each form, and one without schemas ---- */

enum {
    FORMS = 4
};
static kur_client *clients[FORMS], *none;

static void parse(const char *text, kur_schema **schema)
{
    need(kur_schema_parse(kur_bytes_text(text), NULL, 0, schema, NULL) == KUR_OK);
}

static void set_up(void)
{
    kur_client_options options = KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", .source = "/fuzz");
    none = kur_client_new(&options, NULL);
    need(none != NULL && order_created_schema(&own, NULL) == KUR_OK);
    parse(
        "{\"type\":\"record\",\"name\":\"shop.order.order_created\",\"fields\":[{\"name\":\"coupon\",\"type\":"
        "\"bytes\"},"
        "{\"name\":\"placed_at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},{\"name\":\"gone\","
        "\"type\":{\"type\":\"map\",\"values\":\"double\"}},{\"name\":\"lines\",\"type\":{\"type\":\"array\",\"items\":"
        "{\"type\":\"record\",\"name\":\"order_line\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"}]}}},"
        "{\"name\":\"order_id\",\"type\":[\"null\",\"string\"]}]}",
        &old);
    parse("\"int\"", &other);
    options.schemas = &schemas;
    options.format = KUR_FORMAT_AVRO;
    for (int form = 0; form < FORMS; form++) {
        options.wire = (kur_wire_format)form;
        clients[form] = kur_client_new(&options, NULL);
        need(clients[form] != NULL);
    }
}

/* ---- What is read ---- */

static const char *const content_types[] = {NULL,
                                            "application/avro",
                                            "avro/binary",
                                            "application/json",
                                            "application/vnd.shop+avro; v=1",
                                            "application/vnd.shop+json",
                                            "application/cloudevents+json",
                                            "application/octet-stream"};
enum {
    CONTENT_TYPES = sizeof content_types / sizeof *content_types
};

static bool is_in(kur_bytes part, kur_bytes whole)
{
    const char *first = part.data, *start = whole.data;
    return part.size == 0 ||
           (first >= start && part.size <= whole.size && (size_t)(first - start) <= whole.size - part.size);
}

/* What names a schema is of its size, and lies in the value or the header, as the body does in the value. */
static void check_frame(const kur_event_view *view, kur_bytes header, bool finds)
{
    static const size_t sizes[] = {[KUR__BY_ID] = 4, [KUR__BY_GUID] = 16, [KUR__BY_FINGERPRINT] = 8};
    kur_error error = {0};
    kur__frame frame;
    kur_status status = kur__frame_take(view, finds, &frame, &error);
    if (status != KUR_OK) {
        need(status == KUR_ERROR_SYNTAX || status == KUR_ERROR_UNSUPPORTED);
        need_error(status, &error);
        return;
    }
    need(is_in(frame.body, view->data));
    if (frame.is_json || frame.by == KUR__BY_TYPE)
        return;
    need(frame.by < sizeof sizes / sizeof *sizes && frame.name.size == sizes[frame.by]);
    need(is_in(frame.name, view->data) || is_in(frame.name, header));
    need(strncmp(kur__frame_words(frame.by, frame.name).text, "schema ", 7) == 0);
}

static void read_back(kur_client *client, const kur_message *message, const void *event, kur_arena *arena)
{
    kur_error error = {0};
    struct order_created back;
    kur_event_view view = KUR_EVENT_VIEW(.client = client);
    kur_record *record = kur_record_build(&(kur_record_parts){.topic = message->topic,
                                                              .value = message->value,
                                                              .headers = message->headers,
                                                              .header_count = message->header_count},
                                          &error);
    need(record != NULL && kur_event_read(record, arena, &view, &error) == KUR_OK);
    need(kur_event_decode(&view, &order_created_type, arena, &back, &error) == KUR_OK);
    need(kur_type_compare(&order_created_type, event, &back) == 0);
    kur_record_free(record);
}

static void write_again(const void *event, unsigned which, kur_arena *arena)
{
    kur_error error = {0};
    kur_message message = KUR_MESSAGE();
    kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.mode = (which & 1) != 0 ? KUR_EVENT_STRUCTURED : KUR_EVENT_BINARY,
                            .format = (which & 2) != 0 ? KUR_FORMAT_JSON : KUR_FORMAT_DEFAULT);
    for (int form = 0; form < FORMS; form++) {
        kur_status status =
            kur_message_write(clients[form], &order_created_type, event, &options, arena, &message, &error);
        need(status == KUR_OK || status == KUR_ERROR_TOO_LARGE);
        if (status == KUR_OK)
            read_back(clients[(form + 1) % FORMS], &message, event, arena);
    }
}

static void read_record(const kur_record *record, kur_client *client, unsigned which, kur_arena *arena)
{
    kur_error error = {0};
    struct order_created event;
    memset(&event, 0, sizeof event);
    kur_bytes header = {0};
    kur_event_view view = KUR_EVENT_VIEW(.client = client);
    if (kur_event_read(record, arena, &view, &error) != KUR_OK)
        return;
    kur_record_header_last(record, KUR_SCHEMA_HEADER, &header);
    check_frame(&view, header, client != none);
    size_t before = kur_arena_size(arena);
    kur_status status = kur_event_decode(&view, &order_created_type, arena, &event, &error);
    need(kur_arena_size(arena) - before <= MEMORY_MAX + view.data.size);
    if (status == KUR_OK) {
        need(kur_type_validate(&order_created_type, &event, &error) == KUR_OK);
        write_again(&event, which, arena);
        return;
    }
    need(status != KUR_ERROR_NO_MEMORY && status != KUR_ERROR_INVALID_ARGUMENT && status != KUR_ERROR_CONFIG);
    need_error(status, &error);
    for (size_t i = 0; i < sizeof event; i++)
        need(((const char *)&event)[i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (none == NULL)
        set_up();
    kur_bytes input = kur_bytes_of(data, size), text;
    kur_header headers[2];
    size_t count = 0;
    kur_arena *arena = kur_arena_new();
    const char *type = content_types[take_byte(&input) % CONTENT_TYPES];
    unsigned which = take_byte(&input);
    if (type != NULL)
        headers[count++] = (kur_header){"content-type", kur_bytes_text(type)};
    if ((which & 4) != 0 && take_text(&input, arena, &text))
        headers[count++] = (kur_header){KUR_SCHEMA_HEADER, text};
    kur_record *record = kur_record_build(
        &(kur_record_parts){.topic = "t", .value = take_rest(&input, arena), .headers = headers, .header_count = count},
        NULL);
    need(record != NULL);
    read_record(record, (which & 8) != 0 ? none : clients[which / 16 % FORMS], which, arena);
    kur_record_free(record);
    kur_arena_free(arena);
    return 0;
}
