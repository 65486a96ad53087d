/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Commit metadata as anybody in the group may have written it: the ledger's text, and a listener's machine that takes a
 * partition over with it. The input is a byte that says what follows (a text as it is; bytes whose checksum is made
 * right; bytes behind a head that is made right), one for the limit of what is written, eight of the committed offset,
 * twelve of the log, and the rest.
 */
#include <kurier/sys/base64.h>

#include "fuzz.h"
#include "listener/machine.h"

enum {
    HEAD_SIZE = 28,
    TEXT_SIZE = KUR__LEDGER_TEXT_MAX + 1,
    PAIRS_MAX = KUR__LEDGER_TEXT_MAX * 8 / 2, /* a run takes a bit at least */
    PROBES = 16                               /* ranges that are looked at from both sides */
};

static uint64_t take_number(kur_bytes *input, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | take_byte(input);
    return value;
}

static void put_number(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

/* The text that the rest of the input makes. */
static const char *make_text(int kind, kur_bytes rest, int64_t start, const kur__ledger_log *log, kur_arena *arena)
{
    if (kind == 0)
        return kur_arena_copy(arena, rest.size > 0 ? rest.data : "", rest.size);
    size_t head = kind == 1 ? 4 : HEAD_SIZE - 4, size = head + rest.size;
    uint8_t *raw = kur_arena_alloc(arena, size);
    if (rest.size > 0)
        memcpy(raw + head, rest.data, rest.size);
    if (kind != 1) {
        put_number(raw + 4, log->cluster, 4);
        put_number(raw + 8, log->topic, 4);
        put_number(raw + 12, (uint32_t)log->epoch, 4);
        put_number(raw + 16, (uint64_t)start, 8);
    }
    put_number(raw, kur__ledger_hash(raw + 4, size - 4), 4);
    kur_buffer text = {0};
    need(kur_buffer_append(&text, "kur1:", 5) == KUR_OK);
    need(kur_base64_write(&text, kur_bytes_of(raw, size)) == KUR_OK);
    const char *copy = kur_arena_copy(arena, text.data, text.size);
    kur_buffer_done(&text);
    return copy;
}

/* ---- What must hold of a ledger ---- */

static void need_empty(const kur__ledger *ledger, int64_t start)
{
    need(ledger->words == NULL && ledger->done == NULL && ledger->unfinished == 0 && ledger->done_count == 0);
    need(ledger->start == start && ledger->last == start - 1);
    need(kur__ledger_commit_offset(ledger) == start && kur__ledger_end(ledger) == start);
}

/* In order, apart from each other, within what an offset can be, and no more than the text can tell. */
static void need_ranges(const kur__ledger *ledger)
{
    int64_t at = ledger->start - 1;
    need(ledger->done_count <= PAIRS_MAX && ledger->done_head <= ledger->done_count);
    for (size_t i = 0; i < ledger->done_count; i++) {
        const struct kur__ledger_range *range = &ledger->done[i];
        need(range->from > at && range->to > range->from && range->to <= KUR__LEDGER_OFFSET_MAX);
        at = range->to;
    }
}

/* Whether an offset is finished, looked for from the first to the last. */
static bool is_finished(const kur__ledger *ledger, int64_t offset)
{
    for (size_t i = ledger->done_head; i < ledger->done_count && offset > ledger->last; i++)
        if (offset >= ledger->done[i].from && offset < ledger->done[i].to)
            return true;
    for (size_t i = ledger->head; i < ledger->count && offset <= ledger->last; i++)
        if (ledger->words[i].base == (offset & ~INT64_C(63)))
            return (ledger->words[i].bits >> (offset & 63) & 1) == 0;
    return offset <= ledger->last;
}

/* What is written says of each offset what the ledger says, as far as it says that it tells. */
static void need_same(const kur__ledger *ledger, const kur__ledger_log *log, size_t limit,
                      const struct kur__ledger_range *probes, size_t count)
{
    char text[TEXT_SIZE];
    kur_error error = {0};
    kur__ledger again;
    int64_t told = kur__ledger_write(ledger, log, limit, text), commit = kur__ledger_commit_offset(ledger);
    need(strlen(text) <= limit && told >= commit && told <= kur__ledger_end(ledger));
    need(kur__ledger_read(&again, commit, log, text, &error) == KUR_OK);
    need_ranges(&again);
    for (size_t i = 0; i < count; i++) {
        const int64_t offsets[] = {probes[i].from - 1, probes[i].from, probes[i].to - 1, probes[i].to};
        for (size_t k = 0; k < 4; k++)
            if (offsets[k] >= commit)
                need(is_finished(&again, offsets[k]) == (offsets[k] < told && is_finished(ledger, offsets[k])));
    }
    kur__ledger_done(&again);
}

static void need_whole(const kur__ledger *ledger, const kur__ledger_log *log)
{
    char text[TEXT_SIZE];
    kur_error error = {0};
    kur__ledger again;
    if (kur__ledger_write(ledger, log, KUR__LEDGER_TEXT_MAX, text) < kur__ledger_end(ledger))
        return; /* ours may be longer than what somebody has chosen with care */
    need(kur__ledger_read(&again, ledger->start, log, text, &error) == KUR_OK);
    need(again.done_count == ledger->done_count);
    for (size_t i = 0; i < again.done_count; i++)
        need(again.done[i].from == ledger->done[i].from && again.done[i].to == ledger->done[i].to);
    kur__ledger_done(&again);
}

/* Reads what the text tells of: a record at each end of each range, of which some are finished. */
static void play(kur__ledger *ledger, const kur__ledger_log *log, size_t limit, const struct kur__ledger_range *probes,
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t offsets[] = {probes[i].from - 1, probes[i].from, probes[i].to - 1, probes[i].to};
        for (size_t k = 0; k < 4; k++) {
            bool was_done = is_finished(ledger, offsets[k]);
            if (offsets[k] <= ledger->last)
                need(kur__ledger_admit(ledger, offsets[k]) == KUR__ADMITTED_REPLAY);
            else
                need(kur__ledger_admit(ledger, offsets[k]) == (was_done ? KUR__ADMITTED_DONE : KUR__ADMITTED));
        }
        if (i % 3 == 1)
            kur__ledger_finish(ledger, probes[i].from - 1);
        if (i % 8 == 0)
            need_same(ledger, log, limit, probes, count);
    }
    need(ledger->capacity <= 16 + 4 * count);
    need_same(ledger, log, limit, probes, count);
}

/* ---- A listener that takes the partition over ---- */

static void need_released(kur__machine *machine)
{
    kur__released released;
    while (kur__machine_next_release(machine, &released))
        need(released.extra == NULL);
}

static void take_over(const char *text, int64_t start, const kur__ledger_log *log, size_t limit, kur_status expected)
{
    kur_error error = {0}, warning = {0};
    kur__machine machine;
    kur__source *source;
    kur__work *works[8];
    kur__commit commit;
    int64_t position = -1, before = start;
    kur__machine_options options = {.hold_records = 100,
                                    .hold_bytes = 100000,
                                    .text_limit = limit,
                                    .commit_records = 10,
                                    .multiplier = 1,
                                    .seed = 1};
    kur__assignment assignment = {
        .topic = "t", .start = start, .is_committed = true, .text = text, .log = *log, .generation = 1};
    need(kur__machine_init(&machine, &options, &error) == KUR_OK);
    need(kur__machine_assign(&machine, &assignment, &source, &position, 0, &warning, &error) == KUR_OK);
    need(position == start && warning.code == expected);
    for (int64_t i = 0; i < 10; i++) {
        kur__polled polled = {
            .offset = start + i * (i % 5), .key = kur_bytes_text(i % 2 == 0 ? "a" : "b"), .bytes = 10};
        need(kur__machine_admit(&machine, source, &polled, i) != KUR__ADMITTED_NO_MEMORY);
        size_t count = kur__machine_take(&machine, i, works, 8);
        for (size_t k = 0; k < count; k++)
            kur__machine_outcome(&machine, works[k], &(kur__verdict){.outcome = KUR_DONE}, i);
        kur__machine_begin_commits(&machine, source, i);
        while (kur__machine_next_commit(&machine, &commit)) {
            need(commit.offset >= before && strlen(commit.text) <= limit);
            before = commit.offset;
            kur__machine_committed(&machine, source, i % 3 != 0, i);
        }
    }
    kur__machine_drop(&machine, source);
    need_released(&machine);
    kur__machine_done(&machine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size);
    kur_error error = {0};
    kur__ledger ledger;
    kur_arena *arena = kur_arena_new();
    int kind = take_byte(&input) % 3;
    size_t limit = (size_t)take_byte(&input) << 4 | 15;
    int64_t start = (int64_t)(take_number(&input, 8) % (uint64_t)KUR__LEDGER_OFFSET_MAX);
    kur__ledger_log log = {.cluster = (uint32_t)take_number(&input, 4),
                           .topic = (uint32_t)take_number(&input, 4),
                           .epoch = (int32_t)(take_number(&input, 4) & INT32_MAX)};
    const char *text = make_text(kind, input, start, &log, arena);
    kur_status status = kur__ledger_read(&ledger, start, &log, text, &error);
    if (status != KUR_OK) {
        need(status == KUR_ERROR_MISMATCH || status == KUR_ERROR_SYNTAX);
        need_error(status, &error);
        need_empty(&ledger, start);
    } else {
        need_ranges(&ledger);
        need_whole(&ledger, &log);
        size_t count = ledger.done_count < PROBES ? ledger.done_count : PROBES;
        struct kur__ledger_range *probes = kur_arena_alloc(arena, (count + 1) * sizeof *probes);
        if (count > 0)
            memcpy(probes, ledger.done, count * sizeof *probes);
        need_same(&ledger, &log, limit, probes, count);
        play(&ledger, &log, limit, probes, count);
        kur__ledger_done(&ledger);
    }
    take_over(text, start, &log, limit, status);
    kur_arena_free(arena);
    return 0;
}
