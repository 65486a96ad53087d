/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "dlq.h"
#include "interrupt.h"
#include "payload.h"
#include "table.h"
#include "text.h"

enum {
    LIMIT_DEFAULT = 50,
    KEY_MAX = 40,
    MESSAGE_MAX = 200
};

/* A cell of payload, cut after so many bytes. */
static void put_payload(struct table *table, const struct dlq *dlq, kur_bytes payload, size_t most)
{
    kur_buffer text = {0};
    payload_cut(&dlq->call, &text, payload, most);
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void put_row(struct table *table, const struct dlq *dlq, const kur_letter *letter)
{
    kur_buffer place = {0};
    payload_place(&place, letter->topic, letter->partition, letter->offset);
    table_text(table, place.data);
    kur_buffer_done(&place);
    table_time(table, letter->failed_us);
    table_cell(table, "%d", letter->retry->attempt);
    table_text(table, letter->retry->cause);
    table_text(table, letter->type);
    put_payload(table, dlq, kur_record_key(letter->record), KEY_MAX);
    put_payload(table, dlq, kur_bytes_text(letter->retry->message), MESSAGE_MAX);
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    static const char *const headings[] = {"LETTER", "FAILED", ">ATTEMPT", "CAUSE", "TYPE", "KEY", "MESSAGE", NULL};
    const char *const *topics;
    int status = dlq_topics(dlq, &topics);
    interrupt_begin();
    kur_letter_reader *reader = status == EXIT_DONE && topics[0] != NULL ? dlq_read(dlq, topics, &status) : NULL;
    int64_t limit = dlq->limit >= 0 ? dlq->limit : LIMIT_DEFAULT, count = 0;
    bool has_more = false;
    struct table table = {.headings = headings};
    struct objects objects = {.output = dlq->call.output};
    kur_buffer json = {0};
    for (const kur_letter *letter; reader != NULL && (letter = dlq_next(dlq, reader, &status)) != NULL; count++) {
        if (limit > 0 && count == limit) {
            has_more = true;
            break;
        }
        if (dlq->call.output == OUTPUT_TABLE) {
            put_row(&table, dlq, letter);
        } else {
            dlq_letter_json(dlq, &json, letter, NULL);
            json_print(&objects, &json);
        }
    }
    if (reader != NULL)
        status = dlq_close(dlq, reader, status);
    json_end(&objects);
    table_print(&table);
    kur_buffer_done(&json);
    if (has_more)
        command_note(dlq->call.noun, "there are more than %" PRId64 "; --limit 0 shows all", limit);
    else if (count == 0 && status == EXIT_DONE && dlq->call.output == OUTPUT_TABLE)
        command_note(dlq->call.noun, "no letters");
    return status;
}

static const struct option own[] = {
    {"--limit", "N", "so many at most; default 50, 0 for all", OPTION_IN(NUMBER, struct dlq, limit)}, {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb dlq_browse = {
    .name = "browse",
    .arguments = "[TOPIC…]",
    .summary = "letters one by one",
    .about = "Letters one by one, each partition's from the oldest on. Keys and messages are masked where they look "
             "like secrets. All topics of dead letters, or those named; one that ends with * is all that begin so.",
    .options = {&own_options, &dlq_filter_options, &output_options, &unmask_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
