/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier outbox unpark` and `kurier outbox drop`: what becomes of parked rows. Without --execute each is looked up,
 * and told.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "outbox.h"
#include "table.h"
#include "text.h"

/* The rows that are meant. */
struct ids {
    int64_t *items;
    size_t count;
};

static void add(struct ids *ids, int64_t id)
{
    int64_t *more = realloc(ids->items, (ids->count + 1) * sizeof *more);
    text_need(more != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    ids->items = more;
    more[ids->count++] = id;
}

/* Those behind others follow by themselves. */
static int take(const kur_parked_view *row, void *user)
{
    if (!row->is_behind)
        add(user, row->id);
    return EXIT_DONE;
}

static int read_ids(const struct invocation *call, struct ids *ids)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < call->argument_count && status == EXIT_DONE; i++) {
        int64_t id = 0;
        status = outbox_read_id(call, call->arguments[i], &id);
        add(ids, id);
    }
    return status;
}

/* What is done to a row; its message says what was done. */
struct deed {
    const char *would; /* "be sent again" */
    const char *done;  /* "is to be sent again" */
    kur_status (*act)(struct outbox *outbox, const struct place *place, int64_t id, kur_error *error);
};

static kur_status unpark(struct outbox *outbox, const struct place *place, int64_t id, kur_error *error)
{
    (void)outbox;
    return kur_outbox_unpark(place->outbox, id, error);
}

static kur_status drop(struct outbox *outbox, const struct place *place, int64_t id, kur_error *error)
{
    return kur_outbox_drop(place->outbox, id, outbox->reason, error);
}

/* The row that another one waits behind. */
struct front {
    const kur_parked_view *behind;
    int64_t id; /* 0: there is none any more */
};

static int take_front(const kur_parked_view *row, void *user)
{
    struct front *front = user;
    if (row->is_behind || row->shard != front->behind->shard || !kur_bytes_equal(row->key, front->behind->key))
        return EXIT_DONE;
    front->id = row->id;
    return EXIT_PARTIAL;
}

/* What waits behind a row is not to go before it; the error names that one. */
static kur_status check_front(struct outbox *outbox, const struct place *place, const kur_parked_view *row,
                              kur_error *error)
{
    struct front front = {.behind = row};
    if (!row->is_behind)
        return KUR_OK;
    outbox_each_parked(outbox, place, take_front, &front);
    if (front.id == 0) /* the database judges */
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                         "row %" PRId64 " was not refused itself: it waits behind row %" PRId64
                         " of its key; unpark or drop that one",
                         row->id, front.id);
}

/* Looks a row up, and does what is to be done to it. */
static kur_status do_one(struct outbox *outbox, const struct place *place, const struct deed *deed, int64_t id,
                         kur_arena *arena, kur_error *error)
{
    const kur_parked_view *row;
    const struct invocation *call = &outbox->stored.call;
    kur_buffer line = {0}, topic = {0};
    kur_arena_reset(arena);
    kur_status status = kur_outbox_find_parked(place->outbox, id, arena, &row, error);
    if (status == KUR_OK)
        status = check_front(outbox, place, row, error);
    if (status != KUR_OK)
        return status;
    text_safe(&topic, kur_bytes_text(row->topic), false);
    text_need(kur_buffer_print(&line, "row %" PRId64 ", to %s, of ", id, topic.data != NULL ? topic.data : ""));
    text_time(&line, row->created_us);
    if (call->execute)
        status = deed->act(outbox, place, id, error);
    if (status == KUR_OK)
        command_note(call->noun, "%s, %s%s", line.data, call->execute ? "" : "would ",
                     call->execute ? deed->done : deed->would);
    kur_buffer_done(&line);
    kur_buffer_done(&topic);
    return status;
}

static int do_all(struct outbox *outbox, const struct place *place, const struct deed *deed, const struct ids *ids)
{
    const struct invocation *call = &outbox->stored.call;
    int status = EXIT_DONE;
    size_t done = 0;
    kur_arena *arena = kur_arena_new();
    text_need(arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < ids->count && status != EXIT_UNKNOWN; i++) {
        kur_error error = {0};
        if (do_one(outbox, place, deed, ids->items[i], arena, &error) == KUR_OK)
            done++;
        else
            status = database_fail(&outbox->stored, &error);
    }
    kur_arena_free(arena);
    if (done > 0 && !call->execute)
        command_note(call->noun, "--execute does that");
    return status == EXIT_DONE || status == EXIT_UNKNOWN || done == 0 ? status : EXIT_PARTIAL;
}

static int run(struct outbox *outbox, const struct deed *deed)
{
    struct invocation *call = &outbox->stored.call;
    struct place place = {0};
    struct ids ids = {0};
    if ((call->argument_count > 0) == (outbox->all || outbox->topic != NULL))
        return command_refuse(call->noun, "which rows? kurier outbox list has their ids");
    int status = read_ids(call, &ids);
    if (status == EXIT_DONE)
        status = database_begin_outbox(&outbox->stored, &place);
    if (status == EXIT_DONE && call->argument_count == 0)
        status = outbox_each_parked(outbox, &place, take, &ids);
    if (status == EXIT_DONE && ids.count == 0)
        command_note(call->noun, "nothing is parked%s", outbox->topic != NULL ? " that goes there" : "");
    if (status == EXIT_DONE)
        status = do_all(outbox, &place, deed, &ids);
    database_end(&place);
    free(ids.items);
    return status;
}

/* ---- unpark ---- */

static int run_unpark(struct invocation *call)
{
    static const struct deed deed = {"be sent again", "is to be sent again", unpark};
    return run(outbox_of(call), &deed);
}

static const struct option unpark_list[] = {
    {"--all", NULL, "all rows that were refused, in place of ids", OPTION_IN(FLAG, struct outbox, all)},
    {"--topic", "TOPIC", "all to this topic; may end with * for all that begin so",
     OPTION_IN(TEXT, struct outbox, topic)},
    {.name = NULL}};
static const struct options unpark_options = {.list = unpark_list};

const struct verb outbox_unpark = {
    .name = "unpark",
    .arguments = "[ID…]",
    .summary = "lets parked rows be sent again, in their places",
    .about = "Puts rows back that were refused, once what they were refused for is repaired: a topic was made, a right "
             "given, a limit raised. They are sent before all others of their keys, which follow them. What is refused "
             "again is parked again. A dry run until --execute.",
    .options = {&unpark_options, &execute_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run_unpark};

/* ---- drop ---- */

static int run_drop(struct invocation *call)
{
    static const struct deed deed = {"be deleted, and never sent", "was dropped", drop};
    struct outbox *outbox = outbox_of(call);
    char own_name[COMMAND_WHO_SIZE];
    if (outbox->reason == NULL)
        return command_refuse(call->noun, "--reason is missing: it is what stays");
    int status = run(outbox, &deed);
    if (call->execute && (status == EXIT_DONE || status == EXIT_PARTIAL)) {
        kur_buffer reason = {0};
        text_safe(&reason, kur_bytes_text(outbox->reason), false);
        command_note(call->noun, "by %s: %s", command_who(outbox->who, own_name), reason.data);
        kur_buffer_done(&reason);
    }
    return status;
}

static const struct option drop_list[] = {{"--reason", "TEXT",
                                           "why; must be given, and is printed with what was dropped",
                                           OPTION_IN(TEXT, struct outbox, reason)},
                                          {"--who", "NAME", "default: $USER@host", OPTION_IN(TEXT, struct outbox, who)},
                                          {.name = NULL}};
static const struct options drop_options = {.list = drop_list};

const struct verb outbox_drop = {
    .name = "drop",
    .arguments = "ID…",
    .summary = "deletes parked rows: their events are never sent",
    .about = "Deletes rows that were refused, for good; those behind them go on. What consumers never hear of is to be "
             "repaired by other means. To keep what was in one, before:\n"
             "\n"
             "  kurier outbox show 4711 --unmask -o json >4711.json\n"
             "\n"
             "A dry run until --execute; what was done is told on standard error, with who and why.",
    .options = {&drop_options, &execute_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run_drop};
