/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier offsets`: moves a group, by a plan. The plan is what `plan -o json` prints: `apply` does that and nothing
 * else, as long as the group stands where it stood, and `undo` takes it back.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "input.h"
#include "table.h"
#include "text.h"

#define OFFSETS_MOVE(F, S)                                                                                             \
    F(S, STRING, topic, .min_length = 1)                                                                               \
    F(S, INT32, partition, .min = "0")                                                                                 \
    F(S, OPTIONAL(INT64), from)                                                                                        \
    F(S, INT64, to, .min = "0")                                                                                        \
    F(S, OPTIONAL(STRING), metadata)                                                                                   \
    F(S, INT64, start)                                                                                                 \
    F(S, INT64, end)
KUR_RECORD(offsets_move, OFFSETS_MOVE);
KUR_RECORD_DEFINE(offsets_move, OFFSETS_MOVE, .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE);

#define OFFSETS_PLAN(F, S)                                                                                             \
    F(S, STRING, group, .min_length = 1)                                                                               \
    F(S, INT64, skipped)                                                                                               \
    F(S, INT64, repeated)                                                                                              \
    F(S, LIST(RECORD(offsets_move)), partitions)
KUR_RECORD(offsets_plan, OFFSETS_PLAN);
KUR_RECORD_DEFINE(offsets_plan, OFFSETS_PLAN, .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE);

static struct offsets {
    struct invocation call;
    kur_reset_options reset;
    int64_t partition;
} state = {.reset = {.size = sizeof(kur_reset_options)}, .partition = -1};

/* ---- Plans ---- */

static int fail(const struct invocation *call, const kur_error *error, bool has_changed)
{
    int status = command_error(call->noun, error);
    if (error->code == KUR_ERROR_STALE || error->code == KUR_ERROR_INVALID_STATE ||
        error->code == KUR_ERROR_INVALID_ARGUMENT)
        return EXIT_REFUSED;
    return has_changed && error->code == KUR_ERROR_TIMEOUT ? EXIT_UNKNOWN : status;
}

static void put_plan(kur_buffer *json, const kur_reset_plan *plan)
{
    json_open(json, NULL, '{');
    json_text(json, "group", plan->group);
    json_number(json, "skipped", plan->skipped);
    json_number(json, "repeated", plan->repeated);
    json_open(json, "partitions", '[');
    for (size_t i = 0; i < plan->partition_count; i++) {
        const kur_partition_reset *one = plan->partitions[i];
        json_open(json, NULL, '{');
        json_text(json, "topic", one->topic);
        json_number(json, "partition", one->partition);
        if (one->from >= 0)
            json_number(json, "from", one->from);
        else
            json_null(json, "from");
        json_number(json, "to", one->to);
        json_text(json, "metadata", one->metadata);
        json_number(json, "start", one->start_offset);
        json_number(json, "end", one->end_offset);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_close(json, '}');
}

static void print_plan(const struct invocation *call, const kur_reset_plan *plan)
{
    static const char *const headings[] = {"PARTITION", ">FROM", ">TO", ">START", ">END", NULL};
    struct table table = {.headings = headings};
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    if (call->output != OUTPUT_TABLE) {
        put_plan(&json, plan);
        json_print(&objects, &json);
        json_end(&objects);
        kur_buffer_done(&json);
        return;
    }
    for (size_t i = 0; i < plan->partition_count; i++) {
        const kur_partition_reset *one = plan->partitions[i];
        table_cell(&table, "%s/%" PRId32, one->topic, one->partition);
        if (one->from >= 0)
            table_cell(&table, "%" PRId64, one->from);
        else
            table_text(&table, "none");
        table_cell(&table, "%" PRId64, one->to);
        table_cell(&table, "%" PRId64, one->start_offset);
        table_cell(&table, "%" PRId64, one->end_offset);
    }
    table_print(&table);
    command_note(call->noun, "group %s: %" PRId64 " offsets would be skipped, %" PRId64 " read again", plan->group,
                 plan->skipped, plan->repeated);
}

/* A plan as the library has it. */
static const kur_reset_plan *take_plan(const struct invocation *call, const struct offsets_plan *from)
{
    size_t count = from->partitions.count;
    kur_reset_plan *plan = kur_arena_alloc(call->arena, sizeof *plan);
    kur_partition_reset *all = kur_arena_alloc(call->arena, (count + 1) * sizeof *all);
    const kur_partition_reset **partitions = kur_arena_alloc(call->arena, (count + 1) * sizeof *partitions);
    text_need(plan != NULL && all != NULL && partitions != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        const struct offsets_move *one = &from->partitions.items[i];
        all[i] = (kur_partition_reset){.size = sizeof *all,
                                       .topic = one->topic,
                                       .partition = one->partition,
                                       .from = one->from.has ? one->from.value : -1,
                                       .to = one->to,
                                       .metadata = one->metadata.has ? one->metadata.value : NULL,
                                       .start_offset = one->start,
                                       .end_offset = one->end};
        partitions[i] = &all[i];
    }
    *plan = (kur_reset_plan){.size = sizeof *plan,
                             .group = from->group,
                             .skipped = from->skipped,
                             .repeated = from->repeated,
                             .partition_count = count,
                             .partitions = partitions};
    return plan;
}

static int read_plan(const struct invocation *call, const kur_reset_plan **plan)
{
    struct offsets_plan read;
    if (call->argument_count != 1)
        return command_refuse(call->noun, "which plan? A file that kurier offsets plan -o json has written, or -");
    int status = input_read_object(call, call->arguments[0], &offsets_plan_type, &read);
    if (status == EXIT_DONE)
        *plan = take_plan(call, &read);
    return status;
}

/* ---- plan ---- */

static int read_to(struct invocation *call, const char *value)
{
    kur_reset_options *reset = &state.reset;
    int64_t ago_ms;
    if (strcmp(value, "start") == 0)
        reset->to = KUR_RESET_TO_START;
    else if (strcmp(value, "end") == 0)
        reset->to = KUR_RESET_TO_END;
    else if (text_read_number(value, 0, INT64_MAX - 1, &reset->offset))
        reset->to = KUR_RESET_TO_OFFSET;
    else if (kur_time_parse(value, strlen(value), &reset->time_us, NULL) == KUR_OK)
        reset->to = KUR_RESET_TO_TIME;
    else if (text_read_duration(value, &ago_ms)) {
        reset->to = KUR_RESET_TO_TIME;
        reset->time_us = kur_clock_now_us() - ago_ms * 1000;
    } else
        return command_refuse(call->noun,
                              "--to needs start, end, an offset, a time such as 2026-11-28T21:30:00Z, or how "
                              "long ago, such as 2h");
    return EXIT_DONE;
}

static int run_plan(struct invocation *call)
{
    kur_error error = {0};
    const kur_reset_plan *plan;
    if (call->argument_count != 1)
        return command_refuse(call->noun, "which group?");
    if (state.reset.to == 0)
        return command_refuse(call->noun, "--to is missing: where should the group go on?");
    if (state.partition >= 0 && state.reset.topic == NULL)
        return command_refuse(call->noun, "--partition: of which --topic?");
    state.reset.partition = state.partition >= 0 ? KUR_PARTITION((int32_t)state.partition) : 0;
    kur_admin *admin = kur_admin_new(call->client, &error);
    kur_status status = kur_admin_plan_reset(admin, call->arguments[0], &state.reset, call->connection.timeout_ms,
                                             call->arena, &plan, &error);
    kur_admin_free(admin);
    if (status != KUR_OK)
        return fail(call, &error, false);
    print_plan(call, plan);
    return EXIT_DONE;
}

/* ---- apply ---- */

static const kur_position *find(const kur_position_list *offsets, const kur_partition_reset *one)
{
    for (size_t i = 0; i < offsets->count; i++)
        if (offsets->items[i]->partition == one->partition && strcmp(offsets->items[i]->topic, one->topic) == 0)
            return offsets->items[i];
    return NULL;
}

/* Whether the group stands where the plan says: at `from`, or, to take it back, at `to`. */
static int check_place(const struct invocation *call, kur_admin *admin, const kur_reset_plan *plan, bool is_undo)
{
    kur_error error = {0};
    kur_position_list offsets;
    if (kur_admin_group_offsets(admin, plan->group, call->connection.timeout_ms, call->arena, &offsets, &error) !=
        KUR_OK)
        return fail(call, &error, false);
    for (size_t i = 0; i < plan->partition_count; i++) {
        const kur_partition_reset *one = plan->partitions[i];
        const kur_position *now = find(&offsets, one);
        int64_t offset = now != NULL ? now->offset : -1, wanted = is_undo ? one->to : one->from;
        if (offset != wanted)
            return command_refuse(call->noun,
                                  "group %s has committed %" PRId64 " of %s/%" PRId32 ", not %" PRId64
                                  " as the plan says: make a new one",
                                  plan->group, offset, one->topic, one->partition, wanted);
    }
    return EXIT_DONE;
}

static int with_plan(struct invocation *call, int (*act)(struct invocation *, kur_admin *, const kur_reset_plan *))
{
    const kur_reset_plan *plan = NULL;
    int status = read_plan(call, &plan);
    if (status != EXIT_DONE)
        return status;
    kur_admin *admin = connect_admin(call);
    status = admin != NULL ? act(call, admin, plan) : EXIT_FAILED;
    kur_admin_free(admin);
    return status;
}

static int apply(struct invocation *call, kur_admin *admin, const kur_reset_plan *plan)
{
    kur_error error = {0};
    if (!call->execute) {
        int status = check_place(call, admin, plan, false);
        if (status != EXIT_DONE)
            return status;
        print_plan(call, plan);
        command_note(call->noun, "--execute does that");
        return EXIT_DONE;
    }
    if (kur_admin_apply_reset(admin, plan, call->connection.timeout_ms, &error) != KUR_OK)
        return fail(call, &error, true);
    command_note(call->noun, "group %s: %zu partitions moved; kurier offsets undo takes it back", plan->group,
                 plan->partition_count);
    return EXIT_DONE;
}

static int run_apply(struct invocation *call)
{
    return with_plan(call, apply);
}

/* ---- undo ---- */

static int undo(struct invocation *call, kur_admin *admin, const kur_reset_plan *plan)
{
    kur_error error = {0};
    size_t count = 0;
    kur_position *positions = kur_arena_alloc(call->arena, (plan->partition_count + 1) * sizeof *positions);
    text_need(positions != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < plan->partition_count; i++) {
        const kur_partition_reset *one = plan->partitions[i];
        if (one->from >= 0)
            positions[count++] = KUR_POSITION(.topic = one->topic, .partition = one->partition, .offset = one->from,
                                              .metadata = one->metadata);
        else
            command_note(call->noun, "%s/%" PRId32 " had nothing committed before; what is there now stays", one->topic,
                         one->partition);
    }
    int status = check_place(call, admin, plan, true);
    if (status != EXIT_DONE)
        return status;
    if (!call->execute) {
        command_note(call->noun, "group %s: %zu partitions would go back to where they were; --execute does that",
                     plan->group, count);
        return EXIT_DONE;
    }
    if (count > 0 && kur_admin_set_group_offsets(admin, plan->group, positions, count, call->connection.timeout_ms,
                                                 &error) != KUR_OK)
        return fail(call, &error, true);
    command_note(call->noun, "group %s: %zu partitions are where they were", plan->group, count);
    return count == plan->partition_count ? EXIT_DONE : count > 0 ? EXIT_PARTIAL : EXIT_REFUSED;
}

static int run_undo(struct invocation *call)
{
    return with_plan(call, undo);
}

/* ---- The noun ---- */

static const struct option plan_list[] = {
    {"--to", "PLACE",
     "start, end, an offset, a time such as 2026-11-28T21:30:00Z, or how long ago, such as 2h; moved to where there "
     "are "
     "records",
     .kind = OPTION_CALL, .read = read_to, .needs = "a place, such as start, end, 1000 or 2h", .words = "start end"},
    {"--topic", "TOPIC", "this one; default: every topic that the group has committed something of",
     OPTION_IN(TEXT, struct offsets, reset.topic)},
    {"--partition", "N", "of the topic; default: all", OPTION_IN(NUMBER, struct offsets, partition),
     .most = INT32_MAX - 1},
    {.name = NULL}};
static const struct options plan_options = {.list = plan_list};

static const struct verb plan_verb = {
    .name = "plan",
    .arguments = "GROUP",
    .summary = "what moving a group would do",
    .about = "Tells what moving a group to another place would do; changes nothing. Refused while the group has "
             "members, for they would commit over it. With -o json it is the plan for apply and undo:\n"
             "\n"
             "  kurier offsets plan email --to 2h -o json >plan.json\n"
             "  kurier offsets apply plan.json --execute\n"
             "  kurier offsets undo plan.json --execute\n",
    .options = {&plan_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &state.call,
    .run = run_plan};
static const struct verb apply_verb = {
    .name = "apply",
    .arguments = "PLAN",
    .summary = "does what a plan says",
    .about =
        "Does what a plan says, and nothing else. Refused when the group has committed something else since, or has "
        "members. What listeners had told beside their offsets is dropped with them: what was done above is done "
        "again.",
    .options = {&execute_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &state.call,
    .run = run_apply};
static const struct verb undo_verb = {
    .name = "undo",
    .arguments = "PLAN",
    .summary = "takes back what a plan has done",
    .about = "Puts a group back to where it was before a plan was applied, with what was told beside its offsets. "
             "Refused when the group has committed something else since, or has members. Where nothing had been "
             "committed before, nothing can be taken back.",
    .options = {&execute_options, &connect_options},
    .needs_client = true,
    .state = &state.call,
    .run = run_undo};
static const struct verb *const verbs[] = {&plan_verb, &apply_verb, &undo_verb, NULL};

const struct noun offsets_noun = {.name = "offsets",
                                  .summary = "moves a group to another place, by a plan, and back",
                                  .about = "Moves a group to another place: first what would happen, then exactly "
                                           "that, and back.",
                                  .verbs = verbs};
