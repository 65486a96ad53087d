/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * The text is "kur1:" and the base64 of
 *
 *     bytes   what, big-endian
 *      4      checksum: FNV-1a of all that follows
 *      4      hash of the cluster's id, 0: not known
 *      4      hash of the topic's id, 0: not known
 *      4      leader epoch plus one, 0: not known
 *      8      the committed offset that it stands beside
 *      1, 1   Rice parameters of unfinished and of finished runs
 *      2      pairs of runs
 *      …      per pair: an unfinished run, a finished run, the first beginning at the committed offset
 *
 * A run of n is the number n - 1, the very first one, which may be none, the number n, coded after Rice: n - 1 >> k in
 * ones, a zero, the k low bits. What would take more than 31 ones is 32 ones and 62 bits as they are. The parameters
 * are those that cost least for the lengths at hand, so that one gap of any width does not make the others dear: they
 * are estimated by the lengths' bits, and looked for exactly only when the text has no room for everything otherwise.
 * Offsets that are not told are unfinished.
 */
#include <endian.h>
#include <kurier/sys/base64.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/ledger.h"

static const char mark[] = "kur1:";

enum {
    MARK_SIZE = sizeof mark - 1,
    HEAD_SIZE = 28,
    RAW_MAX = (KUR__LEDGER_TEXT_MAX - MARK_SIZE) / 4 * 3,
    PAIRS_MAX = (RAW_MAX - HEAD_SIZE) * 8 / 2, /* a run takes at least a bit */
    ONES_MAX = 32,
    WIDE_BITS = 62
};

uint32_t kur__ledger_hash(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t hash = UINT32_C(0x811c9dc5);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT32_C(0x01000193);
    return hash;
}

static void put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static uint64_t get(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* ---- The runs of a ledger ---- */

struct walk {
    const kur__ledger *ledger;
    size_t word, done;
    uint64_t bits;   /* of the word at hand, those not yet walked over */
    int64_t next;    /* where the unfinished run after the one at hand begins, -1: there is none */
    int64_t next_to; /* and ends */
    int64_t end;     /* behind everything that is to be told */
    int64_t begin;   /* where the first pair begins, -1 afterwards */
};

/* Unfinished by its bits, in one word. */
static inline bool next_in_words(struct walk *walk, int64_t *from, int64_t *to)
{
    const kur__ledger *ledger = walk->ledger;
    while (walk->bits == 0) {
        if (walk->word + 1 >= ledger->count)
            return false;
        walk->bits = ledger->words[++walk->word].bits;
    }
    int first = __builtin_ctzll(walk->bits);
    uint64_t inverted = ~(walk->bits >> first);
    int length = inverted != 0 ? __builtin_ctzll(inverted) : 64;
    *from = ledger->words[walk->word].base + first;
    *to = *from + length;
    walk->bits = first + length < 64 ? walk->bits >> (first + length) << (first + length) : 0;
    return true;
}

/* Not yet read, before what a former owner had finished. */
static bool next_unread(struct walk *walk, int64_t *from, int64_t *to)
{
    const kur__ledger *ledger = walk->ledger;
    while (walk->done < ledger->done_count) {
        const struct kur__ledger_range *range = &ledger->done[walk->done];
        *from = walk->done > ledger->done_head ? range[-1].to : ledger->last + 1;
        *to = range->from;
        walk->done++;
        if (*from < *to)
            return true;
    }
    return false;
}

static bool next_piece(struct walk *walk, int64_t *from, int64_t *to)
{
    return (next_in_words(walk, from, to) || next_unread(walk, from, to)) && *from < walk->end;
}

static void walk_begin(struct walk *walk, const kur__ledger *ledger, int64_t end)
{
    *walk = (struct walk){.ledger = ledger,
                          .word = ledger->head,
                          .done = ledger->done_head,
                          .end = end,
                          .begin = kur__ledger_commit_offset(ledger)};
    if (ledger->head < ledger->count)
        walk->bits = ledger->words[ledger->head].bits;
    if (!next_piece(walk, &walk->next, &walk->next_to))
        walk->next = -1;
}

/* The next unfinished run and the finished one behind it; false when no finished one is left. */
static bool walk_pair(struct walk *walk, int64_t *unfinished, int64_t *finished)
{
    int64_t begin = walk->begin, first = walk->next >= 0 ? walk->next : walk->end;
    walk->begin = -1;
    if (begin >= 0 && first > begin) { /* finished from the beginning: a former owner has told so */
        *unfinished = 0;
        *finished = first - begin;
        return true;
    }
    if (walk->next < 0)
        return false;
    int64_t from = walk->next, to = walk->next_to;
    int64_t next, next_to;
    /* Another run of the same word has a gap before it. */
    if (walk->bits != 0 && walk->ledger->words[walk->word].base <= walk->end - 64) {
        next_in_words(walk, &walk->next, &walk->next_to);
        *unfinished = to - from;
        *finished = walk->next - to;
        return true;
    }
    walk->next = -1;
    while (next_piece(walk, &next, &next_to)) {
        if (next > to) {
            walk->next = next;
            walk->next_to = next_to;
            break;
        }
        to = next_to;
    }
    int64_t end = walk->next >= 0 ? walk->next : walk->end;
    *unfinished = to - from;
    *finished = end - to;
    return *finished > 0;
}

/* ---- Rice ---- */

struct lengths {
    uint32_t of_bits[64]; /* how many runs n have an n - 1 of so many bits */
    int most;
};

static void count_length(struct lengths *lengths, int64_t run)
{
    int bits = run > 1 ? 64 - __builtin_clzll((uint64_t)run - 1) : 0;
    lengths->of_bits[bits]++;
    if (bits > lengths->most)
        lengths->most = bits;
}

/* The parameter that costs least, taking each length of b bits for 1.5 × 2^(b-1). */
static int best_parameter(const struct lengths *lengths)
{
    int best = 0;
    uint64_t least = UINT64_MAX;
    for (int k = 0; k <= lengths->most; k++) {
        uint64_t cost = 0;
        for (int bits = 0; bits <= lengths->most; bits++) {
            uint64_t ones = bits <= k ? 0 : bits - k >= 6 ? ONES_MAX : (UINT64_C(3) << (bits - k)) / 4;
            cost += lengths->of_bits[bits] * (ones < ONES_MAX ? ones + 1 + (uint64_t)k : ONES_MAX + WIDE_BITS);
        }
        if (cost < least) {
            least = cost;
            best = k;
        }
    }
    return best;
}

struct bits {
    uint8_t *bytes;
    size_t size, capacity; /* in bits */
};

/* At most 57 bits, of a value that has no others; writes eight bytes, behind the end too. */
static void put_bits(struct bits *to, uint64_t value, int count)
{
    uint8_t *at = to->bytes + (to->size >> 3);
    int begun = (int)(to->size & 7);
    if (count == 0)
        return;
    uint64_t bits = htobe64(value << (64 - begun - count) | (begun > 0 ? (uint64_t)*at << 56 : 0));
    memcpy(at, &bits, sizeof bits);
    to->size += (size_t)count;
}

static size_t size_of_run(int64_t run, int k)
{
    uint64_t ones = ((uint64_t)run - 1) >> k;
    return ones >= ONES_MAX ? ONES_MAX + WIDE_BITS : (size_t)ones + 1 + (size_t)k;
}

/* False when there is no room; what was written of it is then to be cut off. */
static bool put_run(struct bits *to, int64_t run, int k)
{
    uint64_t value = (uint64_t)run - 1, ones = value >> k;
    bool is_wide = ones >= ONES_MAX;
    if (to->size + size_of_run(run, k) > to->capacity)
        return false;
    if (is_wide) {
        put_bits(to, UINT32_MAX, ONES_MAX);
        put_bits(to, value >> 31, WIDE_BITS - 31);
        put_bits(to, value & INT32_MAX, 31);
    } else {
        put_bits(to, (UINT64_C(2) << ones) - 2, (int)ones + 1);
        put_bits(to, value >> 31 & ((UINT64_C(1) << (k > 31 ? k - 31 : 0)) - 1), k > 31 ? k - 31 : 0);
        put_bits(to, value & ((UINT64_C(1) << (k < 31 ? k : 31)) - 1), k < 31 ? k : 31);
    }
    return true;
}

static bool get_bits(struct bits *from, int count, uint64_t *value)
{
    if (from->size + (size_t)count > from->capacity)
        return false;
    *value = 0;
    for (; count > 0; count--, from->size++)
        *value = *value << 1 | (from->bytes[from->size >> 3] >> (7 - (from->size & 7)) & 1);
    return true;
}

static bool get_run(struct bits *from, int k, int64_t *run)
{
    uint64_t ones = 0, bit = 0, value = 0;
    while (ones < ONES_MAX && get_bits(from, 1, &bit) && bit == 1)
        ones++;
    if (ones < ONES_MAX && bit == 1)
        return false; /* the bytes ended */
    if (!get_bits(from, ones < ONES_MAX ? k : WIDE_BITS, &value))
        return false;
    if (ones < ONES_MAX)
        value |= ones << k;
    if (value >= (uint64_t)KUR__LEDGER_OFFSET_MAX)
        return false;
    *run = (int64_t)value + 1;
    return true;
}

/* ---- Writing ---- */

/* A text to be: which runs of the ledger, and their parameters. */
struct draft {
    const kur__ledger *ledger;
    int64_t end;
    size_t pairs;
    struct lengths lengths[2]; /* of unfinished and of finished runs */
    int k[2];
    /* What was written of it. */
    size_t written, size; /* pairs, bits */
    int64_t told;         /* up to there */
};

static void measure(struct draft *draft)
{
    struct walk walk;
    int64_t unfinished, finished;
    walk_begin(&walk, draft->ledger, draft->end);
    for (; draft->pairs < PAIRS_MAX && walk_pair(&walk, &unfinished, &finished); draft->pairs++) {
        count_length(&draft->lengths[0], unfinished + (draft->pairs == 0));
        count_length(&draft->lengths[1], finished);
    }
    for (int i = 0; i < 2; i++)
        draft->k[i] = best_parameter(&draft->lengths[i]);
}

/* The parameters that cost least, by the runs themselves. */
static void measure_exactly(struct draft *draft)
{
    struct walk walk;
    uint64_t costs[2][64] = {{0}};
    int64_t runs[2];
    walk_begin(&walk, draft->ledger, draft->end);
    for (size_t pair = 0; pair < draft->pairs && walk_pair(&walk, &runs[0], &runs[1]); pair++) {
        runs[0] += pair == 0;
        for (int i = 0; i < 2; i++)
            for (int k = 0; k <= draft->lengths[i].most; k++)
                costs[i][k] += size_of_run(runs[i], k);
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k <= draft->lengths[i].most; k++)
            if (costs[i][k] < costs[i][draft->k[i]])
                draft->k[i] = k;
}

/* Whether there was room for all of it. */
static bool put_pairs(struct draft *draft, uint8_t *bytes, size_t capacity)
{
    struct walk walk;
    struct bits body = {.bytes = bytes, .capacity = capacity};
    int64_t unfinished, finished;
    draft->written = draft->size = 0;
    draft->told = kur__ledger_commit_offset(draft->ledger);
    walk_begin(&walk, draft->ledger, draft->end);
    for (; draft->written < draft->pairs && walk_pair(&walk, &unfinished, &finished); draft->written++) {
        if (!put_run(&body, unfinished + (draft->written == 0), draft->k[0]) || !put_run(&body, finished, draft->k[1]))
            break;
        draft->size = body.size;
        draft->told += unfinished + finished;
    }
    if (draft->size % 8 != 0)
        bytes[draft->size / 8] &= (uint8_t)(0xff << (8 - draft->size % 8)); /* the half pair that had no room */
    return draft->written == draft->pairs;
}

int64_t kur__ledger_write_below(const kur__ledger *ledger, const kur__ledger_log *log, int64_t end, size_t limit,
                                char *text)
{
    uint8_t raw[RAW_MAX + sizeof(uint64_t)];
    int64_t known = kur__ledger_end(ledger);
    struct draft draft = {.ledger = ledger, .end = end < known ? end : known};
    text[0] = '\0';
    measure(&draft);
    if (draft.pairs == 0)
        return draft.end;
    if (limit > KUR__LEDGER_TEXT_MAX)
        limit = KUR__LEDGER_TEXT_MAX;
    size_t room = limit > MARK_SIZE ? (limit - MARK_SIZE) / 4 * 3 : 0;
    if (room <= HEAD_SIZE)
        return kur__ledger_commit_offset(ledger);
    bool is_all = put_pairs(&draft, raw + HEAD_SIZE, (room - HEAD_SIZE) * 8);
    if (!is_all) {
        measure_exactly(&draft);
        is_all = put_pairs(&draft, raw + HEAD_SIZE, (room - HEAD_SIZE) * 8);
    }
    if (draft.written == 0)
        return draft.told;
    size_t bytes = (draft.size + 7) / 8;
    put(raw + 4, log->cluster, 4);
    put(raw + 8, log->topic, 4);
    put(raw + 12, (uint32_t)log->epoch, 4);
    put(raw + 16, (uint64_t)kur__ledger_commit_offset(ledger), 8);
    raw[24] = (uint8_t)draft.k[0];
    raw[25] = (uint8_t)draft.k[1];
    put(raw + 26, draft.written, 2);
    put(raw, kur__ledger_hash(raw + 4, HEAD_SIZE - 4 + bytes), 4);
    memcpy(text, mark, MARK_SIZE);
    kur_buffer coded = kur_buffer_over(text + MARK_SIZE, limit - MARK_SIZE + 1);
    (void)kur_base64_write(&coded, kur_bytes_of(raw, HEAD_SIZE + bytes)); /* it has the room: nothing can fail */
    return is_all && draft.pairs < PAIRS_MAX ? draft.end : draft.told;
}

int64_t kur__ledger_write(const kur__ledger *ledger, const kur__ledger_log *log, size_t limit, char *text)
{
    return kur__ledger_write_below(ledger, log, INT64_MAX, limit, text);
}

/* ---- Reading ---- */

static kur_status read_ranges(kur__ledger *ledger, const uint8_t *raw, size_t size, kur_error *error)
{
    size_t pairs = (size_t)get(raw + 26, 2);
    int k[2] = {raw[24], raw[25]};
    uint8_t *bytes = (uint8_t *)(uintptr_t)(raw + HEAD_SIZE);
    struct bits body = {.bytes = bytes, .capacity = (size - HEAD_SIZE) * 8};
    if (k[0] >= WIDE_BITS || k[1] >= WIDE_BITS || pairs == 0 || pairs * 2 > body.capacity)
        return kur_error_set(error, KUR_ERROR_SYNTAX, "the committed ledger is broken");
    ledger->done = kur_malloc(pairs * sizeof *ledger->done);
    if (ledger->done == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the committed ledger");
    int64_t at = ledger->start;
    for (size_t i = 0; i < pairs; i++) {
        int64_t unfinished, finished;
        if (!get_run(&body, k[0], &unfinished) || !get_run(&body, k[1], &finished))
            return kur_error_set(error, KUR_ERROR_SYNTAX, "the committed ledger is broken");
        unfinished -= i == 0;
        if (unfinished > KUR__LEDGER_OFFSET_MAX - at || finished > KUR__LEDGER_OFFSET_MAX - at - unfinished)
            return kur_error_set(error, KUR_ERROR_SYNTAX, "the committed ledger is broken");
        ledger->done[i] = (struct kur__ledger_range){at + unfinished, at + unfinished + finished};
        at = ledger->done[i].to;
    }
    ledger->done_count = pairs;
    return KUR_OK;
}

/* Two hashes or epochs that are both known and differ. */
static bool differ(uint32_t a, uint32_t b)
{
    return a != 0 && b != 0 && a != b;
}

const char *kur__ledger_log_differs(const kur__ledger_log *a, const kur__ledger_log *b)
{
    return differ(a->cluster, b->cluster)                   ? "cluster"
           : differ(a->topic, b->topic)                     ? "topic"
           : differ((uint32_t)a->epoch, (uint32_t)b->epoch) ? "leader epoch"
                                                            : NULL;
}

static kur_status check_head(const uint8_t *raw, int64_t start, const kur__ledger_log *log, kur_error *error)
{
    kur__ledger_log written = {
        .cluster = (uint32_t)get(raw + 4, 4), .topic = (uint32_t)get(raw + 8, 4), .epoch = (int32_t)get(raw + 12, 4)};
    const char *what = kur__ledger_log_differs(&written, log);
    if (what == NULL && get(raw + 16, 8) != (uint64_t)start)
        what = "offset";
    if (what == NULL)
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_MISMATCH, "the committed ledger is for another %s", what);
}

kur_status kur__ledger_read(kur__ledger *ledger, int64_t start, const kur__ledger_log *log, const char *text,
                            kur_error *error)
{
    uint8_t raw[KUR__LEDGER_TEXT_MAX];
    size_t size = text != NULL ? strnlen(text, KUR__LEDGER_TEXT_MAX + 1) : 0, bytes = 0;
    kur__ledger_init(ledger, start);
    if (size == 0)
        return KUR_OK;
    if (size > KUR__LEDGER_TEXT_MAX || strncmp(text, mark, MARK_SIZE) != 0)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "the commit's metadata are not ours");
    if (!kur_base64_read(text + MARK_SIZE, size - MARK_SIZE, raw, &bytes) || bytes <= HEAD_SIZE ||
        get(raw, 4) != kur__ledger_hash(raw + 4, bytes - 4))
        return kur_error_set(error, KUR_ERROR_SYNTAX, "the committed ledger is broken");
    kur_status status = check_head(raw, start, log, error);
    if (status == KUR_OK)
        status = read_ranges(ledger, raw, bytes, error);
    if (status != KUR_OK)
        kur__ledger_done(ledger);
    return status;
}
