/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier inbox reset` and `kurier inbox forget`: places that begin anew, and those that are kept no more.
 */
#include <inttypes.h>
#include <kurier/sys/topic.h>
#include <stdio.h>

#include "inbox.h"
#include "text.h"

enum {
    TOPIC_MAX = 249
};

/* What is meant, and what is kept of it. */
struct chosen {
    const char *consumer;
    char topic[TOPIC_MAX + 1]; /* "": every one */
    int64_t partition;         /* -1: every one */
    size_t count;
    int64_t done, open;
    kur_inbox_position position; /* the last that was found; its texts are not there any more */
};

/* TOPIC or TOPIC/PARTITION. */
static bool read_topic(const char *text, struct chosen *chosen)
{
    const char *slash = strrchr(text, '/');
    size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (size < 1 || size > TOPIC_MAX ||
        (slash != NULL && !text_read_number(slash + 1, 0, INT32_MAX, &chosen->partition)))
        return false;
    memcpy(chosen->topic, text, size);
    chosen->topic[size] = '\0';
    return kur_topic_is_valid(chosen->topic);
}

static kur_status take(const kur_inbox_position *position, void *user, kur_error *error)
{
    struct chosen *chosen = user;
    (void)error;
    if ((chosen->topic[0] != '\0' && strcmp(position->topic, chosen->topic) != 0) ||
        (chosen->partition >= 0 && position->partition != chosen->partition))
        return KUR_OK;
    chosen->count++;
    chosen->done += position->done;
    chosen->open += position->open;
    chosen->position = *position;
    return KUR_OK;
}

/* Connects, and finds what is kept of what is meant. */
static int find(const struct inbox *inbox, struct place *place, struct chosen *chosen)
{
    kur_error error = {0};
    int status = database_begin(&inbox->stored, place);
    if (status == EXIT_DONE &&
        place->driver->inbox_positions(place->connection, chosen->consumer, take, chosen, &error) != KUR_OK)
        status = database_fail(&inbox->stored, &error);
    if (status == EXIT_DONE && chosen->count == 0)
        status = command_fail(inbox->stored.call.noun, "nothing is kept of that: kurier inbox status has the names");
    return status;
}

/* ---- reset ---- */

static int reset(const struct inbox *inbox, const struct place *place, const struct chosen *chosen)
{
    const struct invocation *call = &inbox->stored.call;
    kur_error error = {0};
    const kur_inbox_place at = {.size = sizeof at,
                                .consumer = chosen->consumer,
                                .topic = chosen->topic,
                                .partition = (int32_t)chosen->partition,
                                .offset = inbox->to,
                                .epoch = chosen->position.epoch};
    if (inbox->to > chosen->position.next)
        return command_refuse(call->noun,
                              "%" PRId64 " is beyond %" PRId64 ": what nobody has handled would count as done",
                              inbox->to, chosen->position.next);
    if (call->execute && place->driver->inbox_reset(place->connection, &at, &chosen->position.log_id, &error) != KUR_OK)
        return database_fail(&inbox->stored, &error);
    command_note(call->noun, "%s: %s/%" PRId64 " %s at %" PRId64 ", in place of %" PRId64, chosen->consumer,
                 chosen->topic, chosen->partition, call->execute ? "begins anew" : "would begin anew", inbox->to,
                 chosen->position.next);
    command_note(call->noun, call->execute ? "records from there on are handled when they come: move the group, too "
                                             "(kurier offsets plan)"
                                           : "--execute does that");
    return EXIT_DONE;
}

static int run_reset(struct invocation *call)
{
    struct inbox *inbox = inbox_of(call);
    struct place place = {0};
    struct chosen chosen = {.consumer = call->arguments[0], .partition = -1};
    if (call->argument_count != 2 || !read_topic(call->arguments[1], &chosen) || chosen.partition < 0)
        return command_refuse(call->noun, "which place? CONSUMER TOPIC/PARTITION, as kurier inbox status has them");
    if (inbox->to < 0)
        return command_refuse(call->noun, "where to? --to says it");
    int status = find(inbox, &place, &chosen);
    if (status == EXIT_DONE)
        status = reset(inbox, &place, &chosen);
    database_end(&place);
    return status;
}

static const struct option reset_list[] = {{"--to", "OFFSET", "the first that is to be handled again",
                                            OPTION_IN(NUMBER, struct inbox, to), .needs = "an offset"},
                                           {.name = NULL}};
static const struct options reset_options = {.list = reset_list};

const struct verb inbox_reset = {
    .name = "reset",
    .arguments = "CONSUMER TOPIC/PARTITION",
    .summary = "lets records be handled again from an offset on",
    .about = "Forgets that records from an offset on were handled, so that their effect happens once more when they "
             "come. For a topic that was made anew under its name, or what is to be repeated. Stop the service, reset, "
             "move its group to the same place with kurier offsets, start it. Moving the group alone repeats nothing: "
             "what is done is passed over. A dry run until --execute.",
    .options = {&reset_options, &execute_options, &database_options},
    .state = &inbox_state.stored.call,
    .run = run_reset};

/* ---- forget ---- */

static int forget(const struct inbox *inbox, const struct place *place, const struct chosen *chosen)
{
    const struct invocation *call = &inbox->stored.call;
    int32_t count = (int32_t)chosen->count;
    kur_error error = {0};
    if (call->execute && place->driver->inbox_remove(place->connection, chosen->consumer,
                                                     chosen->topic[0] != '\0' ? chosen->topic : NULL,
                                                     (int32_t)chosen->partition, &count, &error) != KUR_OK)
        return database_fail(&inbox->stored, &error);
    command_note(call->noun,
                 "%s: %" PRId32 " partitions %s forgotten, with rows of %" PRId64
                 " records that are done and of %" PRId64 " that are open%s",
                 chosen->consumer, count, call->execute ? "are" : "would be", chosen->done, chosen->open,
                 call->execute ? "" : "; --execute does that");
    return EXIT_DONE;
}

static int run_forget(struct invocation *call)
{
    struct inbox *inbox = inbox_of(call);
    struct place place = {0};
    struct chosen chosen = {.consumer = call->arguments[0], .partition = -1};
    if (call->argument_count < 1 || call->argument_count > 2)
        return command_refuse(call->noun, "what? CONSUMER, and perhaps TOPIC or TOPIC/PARTITION");
    if (call->argument_count == 2 && !read_topic(call->arguments[1], &chosen))
        return command_refuse(call->noun, "\"%.60s\" is neither TOPIC nor TOPIC/PARTITION", call->arguments[1]);
    int status = find(inbox, &place, &chosen);
    if (status == EXIT_DONE)
        status = forget(inbox, &place, &chosen);
    database_end(&place);
    return status;
}

const struct verb inbox_forget = {
    .name = "forget",
    .arguments = "CONSUMER [TOPIC[/PARTITION]]",
    .summary = "removes what is kept of a consumer that is no more",
    .about = "Removes what is kept of a consumer, of its partitions of a topic, or of one: for a service that has been "
             "taken down, or a topic that it does not read any more. With a consumer alone the ids of its events go, "
             "too. Stop the service before: a consumer that goes on begins anew where it is, and what it has handled "
             "above its group's committed offset is handled once more. A dry run until --execute.",
    .options = {&execute_options, &database_options},
    .state = &inbox_state.stored.call,
    .run = run_forget};
