/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dlq.h"
#include "mask.h"
#include "table.h"
#include "text.h"

/* TOPIC/PARTITION/OFFSET, or three arguments; EXIT_DONE, or it was said what is wrong. */
static int read_place(struct dlq *dlq, const char **topic, int64_t *partition, int64_t *offset)
{
    const char *numbers[2] = {dlq->call.arguments[1], dlq->call.arguments[2]};
    if (dlq->call.argument_count == 1) {
        char *text = kur_arena_copy(dlq->call.arena, dlq->call.arguments[0], strlen(dlq->call.arguments[0]));
        text_need(text != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
        *topic = text;
        for (int i = 1; i >= 0; i--) {
            char *slash = strrchr(text, '/');
            if (slash == NULL)
                return command_refuse(dlq->call.noun,
                                      "which letter? TOPIC/PARTITION/OFFSET, as kurier dlq browse prints it");
            *slash = '\0';
            numbers[i] = slash + 1;
        }
    } else if (dlq->call.argument_count != 3) {
        return command_refuse(dlq->call.noun, "which letter? TOPIC/PARTITION/OFFSET, as kurier dlq browse prints it");
    } else {
        *topic = dlq->call.arguments[0];
    }
    if (!text_read_number(numbers[0], 0, INT32_MAX - 1, partition) ||
        !text_read_number(numbers[1], 0, INT64_MAX - 1, offset))
        return command_refuse(dlq->call.noun, "partition and offset are numbers from 0 on");
    return EXIT_DONE;
}

/* ---- For people ---- */

static void put_text(const char *name, const char *text)
{
    kur_buffer safe = {0};
    if (text == NULL || text[0] == '\0')
        return;
    text_safe(&safe, kur_bytes_text(text), false);
    printf("  %-13s %s\n", name, safe.data);
    kur_buffer_done(&safe);
}

static void put_time(const char *name, int64_t time_us)
{
    kur_buffer text = {0};
    text_time(&text, time_us);
    if (time_us > 0)
        put_text(name, text.data);
    kur_buffer_done(&text);
}

/* Payload in one line; masked. */
static void add_payload(const struct dlq *dlq, kur_buffer *to, kur_bytes payload, bool is_secret)
{
    kur_buffer text = {0};
    text_put(&text, "");
    if (payload.data == NULL)
        text_put(&text, "(null)");
    else if (is_secret && !dlq->call.unmask)
        text_put(&text, MASK_TEXT);
    else if (!kur_bytes_is_utf8(payload) && !dlq->call.unmask)
        text_need(kur_buffer_print(&text, "(%zu bytes that are no text; --unmask shows them)", payload.size));
    else
        dlq_payload(dlq, &text, payload);
    text_safe(to, kur_bytes_of(text.data, text.size), false);
    kur_buffer_done(&text);
}

static void put_payload(const struct dlq *dlq, const char *name, kur_bytes payload)
{
    kur_buffer text = {0};
    text_put(&text, "");
    add_payload(dlq, &text, payload, false);
    printf("  %-13s %s\n", name, text.data);
    kur_buffer_done(&text);
}

static void put_origin(const kur_retry_view *retry)
{
    kur_buffer text = {0};
    if (retry->topic == NULL) {
        put_text("came from", "(not told)");
        return;
    }
    dlq_place(&text, retry->topic, retry->partition, retry->offset);
    if (retry->timestamp_us >= 0) {
        text_put(&text, ", of ");
        text_time(&text, retry->timestamp_us);
    }
    put_text("came from", text.data);
    kur_buffer_done(&text);
}

static void put_attempts(const kur_retry_view *retry)
{
    for (size_t i = 0; i < retry->attempt_count; i++) {
        const kur_attempt_view *attempt = retry->attempts[i];
        kur_buffer text = {0};
        text_need(kur_buffer_print(&text, "%d at ", attempt->attempt));
        text_time(&text, attempt->at_us);
        text_need(kur_buffer_print(&text, ": %s", attempt->cause));
        put_text(i == 0 ? "attempts" : "", text.data);
        kur_buffer_done(&text);
    }
}

static void put_event(const kur_event_view *event)
{
    if (event == NULL)
        return;
    put_text("event", event->type);
    put_text("id", event->id);
    put_text("source", event->source);
    put_text("subject", event->subject);
    put_text("correlation", event->correlation_id);
    put_text("trace", event->traceparent);
}

static void put_headers(const struct dlq *dlq, const kur_record *record)
{
    kur_header header;
    printf("  headers\n");
    for (size_t i = 0; kur_record_header(record, i, &header); i++) {
        kur_buffer line = {0};
        text_safe(&line, kur_bytes_text(header.name), false);
        text_put(&line, " = ");
        add_payload(dlq, &line, header.value, mask_is_secret(header.name, strlen(header.name)));
        printf("    %s\n", line.data);
        kur_buffer_done(&line);
    }
}

static void put_value(const struct dlq *dlq, const kur_letter *letter)
{
    kur_bytes value = kur_record_value(letter->record);
    if (value.data == NULL || !kur_bytes_is_utf8(value)) {
        put_payload(dlq, "value", value);
        return;
    }
    kur_buffer text = {0}, safe = {0};
    text_put(&text, "");
    dlq_payload(dlq, &text, value);
    text_safe(&safe, kur_bytes_of(text.data, text.size), true);
    printf("  value, %zu bytes\n%s\n", value.size, safe.data != NULL ? safe.data : "");
    kur_buffer_done(&text);
    kur_buffer_done(&safe);
}

static void print(const struct dlq *dlq, const kur_letter *letter)
{
    const kur_retry_view *retry = letter->retry;
    bool is_coloured = table_has_colours();
    printf("%s%s/%" PRId32 "/%" PRId64 "%s\n", is_coloured ? "\x1b[1m" : "", letter->topic, letter->partition,
           letter->offset, is_coloured ? "\x1b[0m" : "");
    put_text("cause", retry->cause[0] != '\0' ? retry->cause : "(not told)");
    put_payload(dlq, "message", kur_bytes_text(retry->message));
    put_text("code", retry->code);
    put_text("group", retry->group);
    put_origin(retry);
    put_time("first failed", retry->first_failed_us);
    put_time("failed", letter->failed_us);
    printf("  %-13s %d\n", "attempt", retry->attempt);
    put_attempts(retry);
    put_time("put here", letter->timestamp_us);
    if (retry->redriven > 0)
        printf("  %-13s %d\n", "sent again", retry->redriven);
    put_text("redrive", retry->redrive_id);
    if (retry->is_stub)
        put_text("stub", "value or headers did not fit here: they are to be found where it came from");
    if (retry->is_clamped)
        put_text("note", "something in its retry headers was out of its limits and is not believed");
    put_event(letter->event);
    put_payload(dlq, "key", kur_record_key(letter->record));
    put_headers(dlq, letter->record);
    put_value(dlq, letter);
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    int64_t partition, offset;
    const char *topics[2] = {NULL, NULL};
    int status = read_place(dlq, &topics[0], &partition, &offset);
    if (status != EXIT_DONE)
        return status;
    dlq->filter.partition = KUR_PARTITION((int32_t)partition);
    dlq->filter.from_offset = offset;
    dlq->filter.to_offset = offset + 1;
    dlq->with_discarded = true;
    kur_letter_reader *reader = dlq_read(dlq, topics, &status);
    if (reader == NULL)
        return status;
    const kur_letter *letter = dlq_next(dlq, reader, &status);
    struct objects objects = {.output = dlq->call.output};
    kur_buffer json = {0};
    if (letter != NULL && dlq->call.output == OUTPUT_TABLE) {
        print(dlq, letter);
    } else if (letter != NULL) {
        dlq_letter_json(dlq, &json, letter, true);
        json_print(&objects, &json);
        json_end(&objects);
    } else if (status == EXIT_DONE) {
        status = command_fail(dlq->call.noun, "there is no letter %.249s/%" PRId64 "/%" PRId64, topics[0], partition,
                              offset);
    }
    kur_buffer_done(&json);
    return dlq_close(dlq, reader, status);
}

const struct verb dlq_show = {
    .name = "show",
    .arguments = "TOPIC/PARTITION/OFFSET",
    .summary = "all of one letter",
    .about = "All of one letter: why it died, attempt by attempt, where it came from, headers and value. What looks "
             "like a secret is masked; bytes that are no text are shown by --unmask alone.",
    .options = {&output_options, &unmask_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
