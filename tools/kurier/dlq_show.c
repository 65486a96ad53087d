/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "dlq.h"
#include "payload.h"
#include "table.h"
#include "text.h"

static void put_origin(const kur_retry_view *retry)
{
    kur_buffer text = {0};
    if (retry->topic == NULL) {
        payload_print("came from", "(not told)");
        return;
    }
    payload_place(&text, retry->topic, retry->partition, retry->offset);
    if (retry->timestamp_us >= 0) {
        text_put(&text, ", of ");
        text_time(&text, retry->timestamp_us);
    }
    payload_print("came from", text.data);
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
        payload_print(i == 0 ? "attempts" : "", text.data);
        kur_buffer_done(&text);
    }
}

static void print(const struct dlq *dlq, const kur_letter *letter, const struct decoded *decoded)
{
    const kur_retry_view *retry = letter->retry;
    bool is_coloured = table_has_colours();
    printf("%s%s/%" PRId32 "/%" PRId64 "%s\n", is_coloured ? "\x1b[1m" : "", letter->topic, letter->partition,
           letter->offset, is_coloured ? "\x1b[0m" : "");
    payload_print("cause", retry->cause[0] != '\0' ? retry->cause : "(not told)");
    payload_print_line(&dlq->call, "message", kur_bytes_text(retry->message));
    payload_print("code", retry->code);
    payload_print("group", retry->group);
    put_origin(retry);
    payload_print_time("first failed", retry->first_failed_us);
    payload_print_time("failed", letter->failed_us);
    printf("  %-13s %d\n", "attempt", retry->attempt);
    put_attempts(retry);
    payload_print_time("put here", letter->timestamp_us);
    if (retry->redriven > 0)
        printf("  %-13s %d\n", "sent again", retry->redriven);
    payload_print("redrive", retry->redrive_id);
    if (retry->is_stub)
        payload_print("stub", "value or headers did not fit here: they are to be found where it came from");
    if (retry->is_clamped)
        payload_print("note", "something in its retry headers was out of its limits and is not believed");
    payload_print_event(letter->event);
    payload_print_line(&dlq->call, "key", kur_record_key(letter->record));
    payload_print_headers(&dlq->call, letter->record);
    decode_print(&dlq->call, decoded);
}

static void show(const struct dlq *dlq, struct decoder *decoder, const kur_letter *letter)
{
    struct objects objects = {.output = dlq->call.output};
    struct decoded decoded;
    kur_buffer json = {0};
    decode(decoder, letter->record, letter->event, &decoded);
    if (dlq->call.output == OUTPUT_TABLE)
        print(dlq, letter, &decoded);
    else {
        dlq_letter_json(dlq, &json, letter, &decoded);
        json_print(&objects, &json);
        json_end(&objects);
    }
    decode_done(&decoded);
    kur_buffer_done(&json);
}

static int find_and_show(struct dlq *dlq, struct decoder *decoder, const char *topic, int32_t partition, int64_t offset)
{
    const char *topics[2] = {topic, NULL};
    int status = EXIT_DONE;
    dlq->filter.partition = KUR_PARTITION(partition);
    dlq->filter.from_offset = offset;
    dlq->filter.to_offset = offset + 1;
    dlq->with_discarded = true;
    kur_letter_reader *reader = dlq_read(dlq, topics, &status);
    if (reader == NULL)
        return status;
    const kur_letter *letter = dlq_next(dlq, reader, &status);
    if (letter != NULL)
        show(dlq, decoder, letter);
    else if (status == EXIT_DONE)
        status =
            command_fail(dlq->call.noun, "there is no letter %.249s/%" PRId32 "/%" PRId64, topic, partition, offset);
    return dlq_close(dlq, reader, status);
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    struct decoder decoder = {0};
    const char *topic;
    int32_t partition;
    int64_t offset;
    int status = payload_read_place(call, &topic, &partition, &offset);
    if (status == EXIT_DONE)
        status = decoder_begin(&decoder, call, dlq->schema);
    if (status == EXIT_DONE)
        status = find_and_show(dlq, &decoder, topic, partition, offset);
    decoder_done(&decoder);
    return status;
}

static const struct option own[] = {
    {"--schema", "SCHEMA", DECODE_SCHEMA_HELP, OPTION_IN(TEXT, struct dlq, schema), .words = "FILE"}, {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb dlq_show = {
    .name = "show",
    .arguments = "TOPIC/PARTITION/OFFSET",
    .summary = "all of one letter",
    .about = "All of one letter: why it died, attempt by attempt, where it came from, headers and value, Avro as "
             "JSON. What looks like a secret is masked; bytes that are no text are shown by --unmask alone.",
    .options = {&own_options, &output_options, &unmask_options, &connect_options, &registry_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
