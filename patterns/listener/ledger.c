/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * A sorted array of words, each the bits of 64 neighbouring offsets. Offsets are admitted in ascending order, so words
 * are only appended; a jump of any width costs one word. Finishing clears a bit, found by binary search. A word without
 * bits stays until the empty ones are the greater part: then they are squeezed out, so that the memory is 16 bytes for
 * an unfinished offset that stands alone and a quarter of a byte for one among neighbours, and removing costs
 * O(1) on the average.
 *
 * `runs` is kept up to date bit by bit, since the size of the text goes by it and is asked for at each admission.
 */
#include "listener/ledger.h"

#include <kurier/sys/memory.h>
#include <string.h>

enum {
    WORD = 64,
    WORDS_MIN = 16,
    NEAR = 16 /* words, to both sides */
};

void kur__ledger_init(kur__ledger *ledger, int64_t start)
{
    *ledger = (kur__ledger){.start = start, .last = start - 1};
}

void kur__ledger_done(kur__ledger *ledger)
{
    kur_free(ledger->words);
    kur_free(ledger->done);
    kur__ledger_init(ledger, ledger->start);
}

static int64_t base_of(int64_t offset)
{
    return offset & ~(int64_t)(WORD - 1);
}

static uint64_t bit_of(int64_t offset)
{
    return UINT64_C(1) << (offset & (WORD - 1));
}

/* Around where it is if the words lie evenly, so that a large ledger is not touched all over. */
static void narrow(const kur__ledger *ledger, int64_t base, size_t *low, size_t *high)
{
    __extension__ typedef unsigned __int128 wide;
    const struct kur__ledger_word *words = ledger->words;
    int64_t first = words[*low].base, last = words[*high - 1].base;
    if (base < first || base > last)
        return;
    size_t guess = *low + (size_t)((wide)(base - first) * (*high - 1 - *low) / (uint64_t)(last - first));
    size_t from = guess > *low + NEAR ? guess - NEAR : *low, to = guess + NEAR < *high - 1 ? guess + NEAR : *high - 1;
    if (words[from].base <= base)
        *low = from;
    else
        *high = from;
    if (to >= *high)
        return;
    if (words[to].base >= base)
        *high = to;
    else
        *low = to;
}

/* The word that holds an offset, or NULL. The first and the last are looked at first: most calls mean them. */
static struct kur__ledger_word *find(const kur__ledger *ledger, int64_t offset)
{
    size_t low = ledger->head, high = ledger->count;
    int64_t base = base_of(offset);
    if (low == high)
        return NULL;
    if (ledger->words[low].base == base)
        return &ledger->words[low];
    if (ledger->words[high - 1].base == base)
        return &ledger->words[high - 1];
    if (high - low > 4 * (size_t)NEAR)
        narrow(ledger, base, &low, &high);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ledger->words[middle].base < base)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ledger->count && ledger->words[low].base == base ? &ledger->words[low] : NULL;
}

/* Whether an offset is unfinished, given a word that is near it. */
static bool is_set(const kur__ledger *ledger, const struct kur__ledger_word *near, int64_t offset)
{
    const struct kur__ledger_word *words = ledger->words;
    int64_t base = base_of(offset);
    if (near->base > base && near > words + ledger->head)
        near--;
    else if (near->base < base && near + 1 < words + ledger->count)
        near++;
    return near->base == base && (near->bits & bit_of(offset)) != 0;
}

static void squeeze(kur__ledger *ledger)
{
    size_t kept = 0;
    for (size_t i = ledger->head; i < ledger->count; i++)
        if (ledger->words[i].bits != 0)
            ledger->words[kept++] = ledger->words[i];
    ledger->head = 0;
    ledger->count = kept;
    ledger->empty = 0;
    if (ledger->capacity / 4 > kept + WORDS_MIN) {
        size_t capacity = kept + WORDS_MIN;
        struct kur__ledger_word *smaller = kur_realloc(ledger->words, capacity * sizeof *smaller);
        if (smaller != NULL) {
            ledger->words = smaller;
            ledger->capacity = capacity;
        }
    }
}

/* Makes room for one more word behind the last. */
static bool reserve(kur__ledger *ledger)
{
    if (ledger->count < ledger->capacity)
        return true;
    if (ledger->head + ledger->empty > ledger->count / 2) {
        squeeze(ledger);
        return ledger->count < ledger->capacity || reserve(ledger);
    }
    size_t capacity = ledger->capacity < WORDS_MIN ? WORDS_MIN : ledger->capacity * 2;
    struct kur__ledger_word *larger = kur_realloc(ledger->words, capacity * sizeof *larger);
    if (larger == NULL)
        return false;
    ledger->words = larger;
    ledger->capacity = capacity;
    return true;
}

/* Whether a former owner has finished an offset; ranges below it are done with. */
static bool was_done(kur__ledger *ledger, int64_t offset)
{
    while (ledger->done_head < ledger->done_count && ledger->done[ledger->done_head].to <= offset)
        ledger->done_head++;
    return ledger->done_head < ledger->done_count && ledger->done[ledger->done_head].from <= offset;
}

kur__admission kur__ledger_admit(kur__ledger *ledger, int64_t offset)
{
    if (offset <= ledger->last)
        return KUR__ADMITTED_REPLAY;
    if (was_done(ledger, offset)) {
        ledger->last = offset;
        return KUR__ADMITTED_DONE;
    }
    int64_t base = base_of(offset);
    bool is_in_last = ledger->count > ledger->head && ledger->words[ledger->count - 1].base == base;
    if (!is_in_last) {
        if (!reserve(ledger))
            return KUR__ADMITTED_NO_MEMORY;
        ledger->words[ledger->count++] = (struct kur__ledger_word){.base = base};
        ledger->empty++;
    }
    struct kur__ledger_word *word = &ledger->words[ledger->count - 1];
    ledger->empty -= word->bits == 0;
    word->bits |= bit_of(offset);
    ledger->unfinished++;
    ledger->runs += !is_set(ledger, word, offset - 1);
    ledger->last = offset;
    return KUR__ADMITTED;
}

bool kur__ledger_finish(kur__ledger *ledger, int64_t offset)
{
    struct kur__ledger_word *word = offset >= 0 ? find(ledger, offset) : NULL;
    if (word == NULL || (word->bits & bit_of(offset)) == 0)
        return false;
    word->bits &= ~bit_of(offset);
    ledger->unfinished--;
    /* One run is shortened, split in two, or gone. */
    ledger->runs += is_set(ledger, word, offset - 1) + is_set(ledger, word, offset + 1) - 1;
    if (word->bits != 0)
        return true;
    ledger->empty++;
    while (ledger->head < ledger->count && ledger->words[ledger->head].bits == 0) {
        ledger->head++;
        ledger->empty--;
    }
    if (ledger->head == ledger->count)
        ledger->head = ledger->count = 0;
    else if (ledger->empty > WORDS_MIN && ledger->empty > (ledger->count - ledger->head) / 2)
        squeeze(ledger);
    return true;
}

void kur__ledger_toggle(kur__ledger *ledger, int64_t offset)
{
    struct kur__ledger_word *word = find(ledger, offset);
    ledger->unfinished += (word->bits & bit_of(offset)) != 0 ? -1 : 1;
    word->bits ^= bit_of(offset);
}

int64_t kur__ledger_commit_offset(const kur__ledger *ledger)
{
    if (ledger->unfinished == 0)
        return ledger->last + 1;
    const struct kur__ledger_word *first = &ledger->words[ledger->head];
    while (first->bits == 0) /* taken out for a moment: otherwise the first has some */
        first++;
    return first->base + __builtin_ctzll(first->bits);
}

int64_t kur__ledger_end(const kur__ledger *ledger)
{
    int64_t end = ledger->last + 1;
    if (ledger->done_head < ledger->done_count && ledger->done[ledger->done_count - 1].to > end)
        end = ledger->done[ledger->done_count - 1].to;
    return end;
}
