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
 * are those that cost least for the lengths at hand, so that one gap of any width does not make the others dear: the
 * ledger is walked over twice, to count lengths and to write them. Offsets that are not told are unfinished.
 *
 * It is done for each partition at each commit, so both walks go from edge to edge of the ledger's words by bit
 * operations, and a pair of runs is put in one piece.
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
    WIDE_BITS = 62,
    LENGTHS = 960,
    PAIRS_COUNTED = 4096,
    SHORT_RUNS = 64,
    SHORT = 16, /* bits of a code */
    LONG = 64
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

/* Where unfinished ones begin and end, by turns: a bit for each such offset, from a base on. */
struct edges {
    int64_t base;
    uint64_t bits;
};

/* What of a ledger was not walked over. */
struct rest {
    const kur__ledger *ledger;
    size_t word, done;
    int64_t open_to; /* the word before ends with an unfinished one: the next offset; -1: it does not */
    int64_t to;      /* where a range that is not yet read ends; -1: none is at hand */
};

/* Behind the words: what lies before and between the ranges that a former owner had finished is not yet read. */
static struct edges next_edge_behind(struct rest *rest)
{
    const kur__ledger *ledger = rest->ledger;
    int64_t edge = rest->to;
    rest->to = -1;
    while (edge < 0 && rest->done < ledger->done_count) {
        const struct kur__ledger_range *range = &ledger->done[rest->done];
        int64_t from = rest->done > ledger->done_head ? range[-1].to : ledger->last + 1;
        rest->done++;
        if (from < range->from) {
            rest->to = range->from;
            edge = from;
        }
    }
    return (struct edges){edge >= 0 ? edge : INT64_MAX, 1};
}

/* Some, at least one; at INT64_MAX when there are no more. */
static struct edges next_edges(struct rest *rest)
{
    const kur__ledger *ledger = rest->ledger;
    for (;;) {
        bool is_over = rest->word == ledger->count;
        int64_t open_to = rest->open_to;
        if (open_to >= 0 && (is_over || ledger->words[rest->word].base != open_to)) {
            rest->open_to = -1;
            return (struct edges){open_to, 1};
        }
        if (is_over)
            return next_edge_behind(rest);
        struct kur__ledger_word word = ledger->words[rest->word++];
        uint64_t edges = word.bits ^ (word.bits << 1 | (open_to >= 0));
        rest->open_to = word.bits >> 63 != 0 ? word.base + 64 : -1;
        if (edges != 0)
            return (struct edges){word.base, edges};
    }
}

/* Run by run. The offset before the first counts as unfinished, so that each pair has both runs. */
struct walk {
    struct edges edges; /* at hand */
    int64_t from;       /* where the next unfinished run begins */
    int64_t told;       /* where the last pair has ended */
    int64_t end;        /* behind everything that is to be told */
};

static inline int64_t next_edge(struct walk *walk, struct rest *rest)
{
    if (walk->edges.bits == 0)
        walk->edges = next_edges(rest);
    int64_t edge = walk->edges.base + __builtin_ctzll(walk->edges.bits);
    walk->edges.bits &= walk->edges.bits - 1;
    return edge;
}

static struct walk walk_begin(const kur__ledger *ledger, int64_t end, struct rest *rest)
{
    const struct rest all = {
        .ledger = ledger, .word = ledger->head, .done = ledger->done_head, .open_to = -1, .to = -1};
    int64_t begin = kur__ledger_commit_offset(ledger);
    struct walk walk = {.from = begin - 1, .told = begin, .end = end};
    *rest = all;
    if (next_edge(&walk, rest) != begin) { /* finished from the beginning: a former owner has told so */
        *rest = all;
        walk.edges = (struct edges){begin, 1};
    }
    return walk;
}

/* The next unfinished run and the finished one behind it; false when no finished one is left. */
static inline bool walk_pair(struct walk *walk, struct rest *rest, int64_t *unfinished, int64_t *finished)
{
    int64_t from = walk->from, to, next;
    if (from >= walk->end)
        return false;
    do { /* what is not read may begin where the words end */
        to = next_edge(walk, rest);
        next = next_edge(walk, rest);
    } while (next == to && to < walk->end); /* a commit may be at the very end of all offsets */
    walk->from = next;
    walk->told = next < walk->end ? next : walk->end;
    *unfinished = to - from;
    *finished = walk->told - to;
    return *finished > 0;
}

/* ---- Rice ---- */

static inline size_t size_of_run(int64_t run, int k)
{
    uint64_t ones = ((uint64_t)run - 1) >> k;
    return ones >= ONES_MAX ? ONES_MAX + WIDE_BITS : (size_t)ones + 1 + (size_t)k;
}

/*
 * How many runs there are of each length. Numbers of more than five bits are counted with those whose first five are
 * the same, for with every parameter they take the same room.
 */
struct lengths {
    uint16_t of[LENGTHS];
};

static inline void count_length(struct lengths *lengths, int64_t run)
{
    uint64_t value = (uint64_t)run - 1;
    int cut = value < 32 ? 0 : 59 - __builtin_clzll(value);
    lengths->of[16 * cut + (int)(value >> cut)]++;
}

/* The parameter that costs least. */
static int best_parameter(const struct lengths *lengths)
{
    uint64_t costs[WIDE_BITS] = {0};
    int most = 0, best = 0;
    for (int i = LENGTHS - 1; i >= 0; i--) {
        if (lengths->of[i] == 0)
            continue;
        int cut = i < 32 ? 0 : i / 16 - 1;
        if (most == 0) /* the longest comes first; a parameter of more bits than it has is no use */
            most = cut + 5 < WIDE_BITS ? cut + 5 : WIDE_BITS - 1;
        for (int k = 0; k <= most; k++)
            costs[k] += lengths->of[i] * size_of_run(((int64_t)(i - 16 * cut) << cut) + 1, k);
    }
    for (int k = 1; k <= most; k++)
        if (costs[k] < costs[best])
            best = k;
    return best;
}

/* Where bits are written, four bytes at a time. */
struct sink {
    uint8_t *at;
    uint64_t begun; /* the last ones put: the lowest `count` bits are not yet written */
    int count;      /* below 32 */
};

/* At most 32 bits, of a value that has no others. */
static inline void put_bits(struct sink *to, uint64_t value, int count)
{
    to->begun = to->begun << count | value;
    to->count += count;
    if (to->count < 32)
        return;
    to->count -= 32;
    uint32_t full = htobe32((uint32_t)(to->begun >> to->count));
    memcpy(to->at, &full, sizeof full);
    to->at += sizeof full;
}

static inline uint64_t lowest(uint64_t value, int bits)
{
    return value & ((UINT64_C(1) << bits) - 1);
}

static void put_run(struct sink *to, int64_t run, int k)
{
    uint64_t value = (uint64_t)run - 1, ones = value >> k;
    if (ones < ONES_MAX) {
        put_bits(to, (UINT64_C(2) << ones) - 2, (int)ones + 1);
    } else {
        put_bits(to, UINT32_MAX, ONES_MAX);
        k = WIDE_BITS;
    }
    if (k > 31)
        put_bits(to, lowest(value >> 31, k - 31), k - 31);
    put_bits(to, lowest(value, k < 31 ? k : 31), k < 31 ? k : 31);
}

/* The codes of short runs. */
struct codes {
    struct {
        uint32_t code;
        uint32_t size; /* LONG: it is not short */
    } of[SHORT_RUNS];
};

static void make_codes(struct codes *codes, int k)
{
    for (int value = 0; value < SHORT_RUNS; value++) {
        size_t size = size_of_run(value + 1, k);
        uint32_t ones = size <= SHORT ? (UINT32_C(1) << size) - (UINT32_C(2) << k) : 0;
        codes->of[value].code = size <= SHORT ? ones | (uint32_t)lowest((uint64_t)value, k) : 0;
        codes->of[value].size = size <= SHORT ? (uint32_t)size : LONG;
    }
}

struct bits {
    const uint8_t *bytes;
    size_t size, capacity; /* in bits */
};

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

/* A text to be: the runs of a ledger up to an offset. */
struct draft {
    const kur__ledger *ledger;
    int64_t end;
    int k[2]; /* the parameters of unfinished and of finished runs */
    /* What was written of it. */
    size_t pairs, bits;
    int64_t told; /* up to there */
};

/* Finds the parameters. Many more pairs than are counted seldom have room. False when there is nothing to tell. */
static bool measure(struct draft *draft)
{
    struct lengths lengths[2] = {{{0}}};
    struct rest rest;
    struct walk walk = walk_begin(draft->ledger, draft->end, &rest);
    int64_t unfinished, finished;
    int pairs = 0;
    for (; pairs < PAIRS_COUNTED && walk_pair(&walk, &rest, &unfinished, &finished); pairs++) {
        count_length(&lengths[0], unfinished);
        count_length(&lengths[1], finished);
    }
    draft->k[0] = best_parameter(&lengths[0]);
    draft->k[1] = best_parameter(&lengths[1]);
    return pairs > 0;
}

/* Whether there was room for all of it. */
static bool put_pairs(struct draft *draft, uint8_t *bytes, size_t capacity)
{
    struct codes codes[2];
    struct rest rest;
    struct walk walk = walk_begin(draft->ledger, draft->end, &rest);
    struct sink body = {.at = bytes};
    size_t pairs = 0, bits = 0;
    int64_t unfinished, finished, told = walk.told;
    bool is_more;
    make_codes(&codes[0], draft->k[0]);
    make_codes(&codes[1], draft->k[1]);
    for (; (is_more = walk_pair(&walk, &rest, &unfinished, &finished)) && pairs < PAIRS_MAX; pairs++) {
        uint64_t a = (uint64_t)unfinished - 1, b = (uint64_t)finished - 1;
        size_t size = (a | b) < SHORT_RUNS ? codes[0].of[a].size + codes[1].of[b].size : LONG;
        bool is_short = size < LONG;
        if (!is_short)
            size = size_of_run(unfinished, draft->k[0]) + size_of_run(finished, draft->k[1]);
        if (bits + size > capacity)
            break;
        if (is_short) {
            put_bits(&body, codes[0].of[a].code << codes[1].of[b].size | codes[1].of[b].code, (int)size);
        } else {
            put_run(&body, unfinished, draft->k[0]);
            put_run(&body, finished, draft->k[1]);
        }
        bits += size;
        told = walk.told;
    }
    put_bits(&body, 0, 32 - body.count);
    draft->pairs = pairs;
    draft->bits = bits;
    draft->told = told;
    return !is_more;
}

int64_t kur__ledger_write_below(const kur__ledger *ledger, const kur__ledger_log *log, int64_t end, size_t limit,
                                char *text)
{
    uint8_t raw[RAW_MAX + sizeof(uint32_t)]; /* bits are put four bytes at a time */
    int64_t known = kur__ledger_end(ledger);
    struct draft draft = {.ledger = ledger, .end = end < known ? end : known};
    text[0] = '\0';
    if (!measure(&draft))
        return draft.end;
    if (limit > KUR__LEDGER_TEXT_MAX)
        limit = KUR__LEDGER_TEXT_MAX;
    size_t room = limit > MARK_SIZE ? (limit - MARK_SIZE) / 4 * 3 : 0;
    if (room <= HEAD_SIZE)
        return kur__ledger_commit_offset(ledger);
    bool is_all = put_pairs(&draft, raw + HEAD_SIZE, (room - HEAD_SIZE) * 8);
    if (draft.pairs == 0)
        return draft.told;
    size_t bytes = (draft.bits + 7) / 8;
    put(raw + 4, log->cluster, 4);
    put(raw + 8, log->topic, 4);
    put(raw + 12, (uint32_t)log->epoch, 4);
    put(raw + 16, (uint64_t)kur__ledger_commit_offset(ledger), 8);
    raw[24] = (uint8_t)draft.k[0];
    raw[25] = (uint8_t)draft.k[1];
    put(raw + 26, draft.pairs, 2);
    put(raw, kur__ledger_hash(raw + 4, HEAD_SIZE - 4 + bytes), 4);
    memcpy(text, mark, MARK_SIZE);
    kur_buffer coded = kur_buffer_over(text + MARK_SIZE, limit - MARK_SIZE + 1);
    (void)kur_base64_write(&coded, kur_bytes_of(raw, HEAD_SIZE + bytes)); /* it has the room: nothing can fail */
    return is_all ? draft.end : draft.told;
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
    struct bits body = {.bytes = raw + HEAD_SIZE, .capacity = (size - HEAD_SIZE) * 8};
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
