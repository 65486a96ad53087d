/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier dlq discard`: puts letters aside, with a reason that stays. What was counted is what is discarded: with
 * --expect the letters are counted first, and what comes later is left alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dlq.h"
#include "interrupt.h"
#include "text.h"

/* The last letter of a partition that was counted. */
struct last {
    const char *topic; /* of the topics that are read */
    int32_t partition;
    int64_t offset;
};

struct discard {
    struct dlq *dlq;
    const char *const *topics;
    const char *who;
    char own_name[COMMAND_WHO_SIZE];
    struct last *last;
    size_t last_count;
    int64_t count;
};

static struct last *last_of(const struct discard *discard, const kur_letter *letter)
{
    for (size_t i = 0; i < discard->last_count; i++)
        if (discard->last[i].partition == letter->partition && strcmp(discard->last[i].topic, letter->topic) == 0)
            return &discard->last[i];
    return NULL;
}

static void note(struct discard *discard, const kur_letter *letter)
{
    struct last *last = last_of(discard, letter);
    if (last == NULL) {
        struct last *more = realloc(discard->last, (discard->last_count + 1) * sizeof *more);
        text_need(more != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
        discard->last = more;
        last = &more[discard->last_count++];
        last->partition = letter->partition;
        for (size_t i = 0; discard->topics[i] != NULL; i++)
            if (strcmp(discard->topics[i], letter->topic) == 0)
                last->topic = discard->topics[i];
    }
    last->offset = letter->offset;
}

static int count_letters(struct discard *discard)
{
    int status;
    kur_letter_reader *reader = dlq_read(discard->dlq, discard->topics, &status);
    if (reader == NULL)
        return status;
    for (const kur_letter *letter; (letter = dlq_next(discard->dlq, reader, &status)) != NULL; discard->count++)
        note(discard, letter);
    return dlq_close(discard->dlq, reader, status);
}

static int write_discards(struct discard *discard, kur_letter_writer *writer)
{
    struct dlq *dlq = discard->dlq;
    int status;
    kur_letter_reader *reader = dlq_read(dlq, discard->topics, &status);
    if (reader == NULL)
        return status;
    for (const kur_letter *letter; (letter = dlq_next(dlq, reader, &status)) != NULL;) {
        kur_error error = {0};
        const struct last *last = dlq->expect >= 0 ? last_of(discard, letter) : NULL;
        if (dlq->expect >= 0 && (last == NULL || letter->offset > last->offset))
            continue;
        if (kur_letter_writer_discard(writer, letter, dlq->reason, discard->who, &error) != KUR_OK) {
            status = error.code == KUR_ERROR_CANCELLED          ? EXIT_PARTIAL
                     : error.code == KUR_ERROR_INVALID_ARGUMENT ? command_refuse(dlq->call.noun, "%s", error.message)
                                                                : command_error(dlq->call.noun, &error);
            break;
        }
    }
    return dlq_close(dlq, reader, status);
}

static int execute(struct discard *discard)
{
    struct dlq *dlq = discard->dlq;
    kur_letter_writer *writer = dlq_writer(dlq);
    if (writer == NULL)
        return EXIT_FAILED;
    interrupt_begin();
    int status = write_discards(discard, writer);
    return dlq_finish(dlq, writer, status, "discarded by", discard->who);
}

static int check(struct discard *discard)
{
    struct dlq *dlq = discard->dlq;
    if (dlq->call.argument_count == 0)
        return command_refuse(dlq->call.noun, "which topics? They are named one by one");
    if (dlq->reason == NULL)
        return command_refuse(dlq->call.noun, "--reason is missing: it is what stays");
    if (!dlq->has_filter && !dlq->all)
        return command_refuse(dlq->call.noun, "which letters? Say --cause or another filter, or --all");
    if (dlq->with_discarded)
        return command_refuse(dlq->call.noun, "--discarded: these are discarded already");
    discard->who = command_who(dlq->who, discard->own_name);
    return dlq_topics(dlq, &discard->topics);
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    struct discard discard = {.dlq = dlq};
    int status = check(&discard);
    if (status == EXIT_DONE && (!dlq->call.execute || dlq->expect >= 0))
        status = count_letters(&discard);
    if (status == EXIT_DONE && dlq->expect >= 0 && discard.count != dlq->expect)
        status = command_refuse(dlq->call.noun,
                                "there are %" PRId64 " letters, not %" PRId64 " as expected; nothing was done",
                                discard.count, dlq->expect);
    else if (status == EXIT_DONE && !dlq->call.execute)
        command_note(dlq->call.noun,
                     "%" PRId64 " letters would be discarded; --execute --expect %" PRId64 " does that, if there are "
                     "still as many",
                     discard.count, discard.count);
    else if (status == EXIT_DONE)
        status = execute(&discard);
    free(discard.last);
    return status;
}

static const struct option own[] = {
    {"--reason", "TEXT", "why; must be given", OPTION_IN(TEXT, struct dlq, reason)},
    {"--who", "NAME", "default: $USER@host", OPTION_IN(TEXT, struct dlq, who)},
    {"--all", NULL, "all letters, where no filter is given", OPTION_IN(FLAG, struct dlq, all)},
    {"--execute", NULL, "do it; without it they are counted", OPTION_IN(FLAG, struct dlq, call.execute)},
    {"--expect", "N", "only if there are exactly so many; what comes later is left alone",
     OPTION_IN(NUMBER, struct dlq, expect)},
    {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb dlq_discard = {
    .name = "discard",
    .arguments = "TOPIC…",
    .summary = "puts letters aside, with a reason that stays",
    .about = "Puts letters aside: from then on they are left out by everything here but --discarded. They stay where "
             "they are until their retention ends. Who, when, why and a hash of each letter are kept in the topic "
             "kurier.redrive, not what is in it.",
    .options = {&own_options, &dlq_filter_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
