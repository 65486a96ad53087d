/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the steps of a plan are run in the order of the bytes. Where the time goes:
 *
 * - Texts are not copied one by one. At the first one, all that is left of the input is copied into the arena, and the
 *   texts point into that copy. A text's NUL takes the place of the byte behind it, which is the beginning of the next
 *   value and is read from the input, not from the copy.
 * - A value is compared with bounds that the plan has worked out; only what is outside them goes to kur__value_check,
 *   which decides and has the words.
 * - Paths are links on the stack, put into words only when something is wrong.
 *
 * Memory is bounded: the copy by the input, structs by STRUCTS_MAX, and lists that come in many blocks grow by half.
 */
#include <math.h>

#include "base/error.h"
#include "event/avro_bytes.h"
#include "event/avro_plan.h"

enum {
    STRUCTS_MAX = 32 * 1024 * 1024
};

typedef struct reader {
    kur__avro_bytes bytes;
    const uint8_t *copied; /* from where on the input lies in `texts` too; NULL: there is no copy yet */
    char *texts;
    size_t structs; /* how many bytes of them */
    kur_arena *arena;
} reader;

static kur_status run(reader *r, const kur__avro_step *step, char *around, const kur__path *path, size_t depth);

static kur_status cut(const reader *r, const kur__path *path, const char *what)
{
    return kur__avro_cut(&r->bytes, path, what);
}

#define STORE(T, value, number)                                                                                        \
    do {                                                                                                               \
        T stored_ = (T)(number);                                                                                       \
        memcpy(value, &stored_, sizeof stored_);                                                                       \
    } while (0)

/* ---- Numbers ---- */

static kur_status check(const reader *r, const kur__avro_step *step, const void *value, const kur__path *path)
{
    return kur__value_check(step->type, step->field, value, path, r->bytes.error);
}

static bool take_whole(reader *r, const kur__avro_step *step, int64_t *number)
{
    return step->of_int ? kur__avro_take_int(&r->bytes, number) : kur__avro_take_long(&r->bytes, number);
}

static kur_status take_integer(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    int64_t number;
    if (!take_whole(r, step, &number))
        return cut(r, path, step->of_int ? "an int is not whole, or too large" : "a long is not whole, or too large");
    if (step->op == KUR__AVRO_TIMESTAMP && __builtin_mul_overflow(number, step->integer.factor, &number))
        return kur__error_at(r->bytes.error, KUR_ERROR_MISMATCH, path, "the year is outside 0001 to 9999");
    if (step->op == KUR__AVRO_INT)
        STORE(int32_t, value, number);
    else
        STORE(int64_t, value, number);
    if (number >= step->integer.least && number <= step->integer.most)
        return KUR_OK;
    return check(r, step, value, path);
}

static bool take_real(reader *r, const kur__avro_step *step, double *number)
{
    int64_t integer;
    float narrow;
    bool is_whole;
    switch (step->op) {
    case KUR__AVRO_DOUBLE:
        return kur__avro_take_double(&r->bytes, number);
    case KUR__AVRO_LONG_TO_FLOAT:
    case KUR__AVRO_LONG_TO_DOUBLE:
        is_whole = take_whole(r, step, &integer);
        /* Rounded once, to the kind that it will be. */
        if (is_whole)
            *number = step->op == KUR__AVRO_LONG_TO_FLOAT ? (double)(float)integer : (double)integer;
        return is_whole;
    default:
        is_whole = kur__avro_take_float(&r->bytes, &narrow);
        if (is_whole)
            *number = (double)narrow;
        return is_whole;
    }
}

static kur_status take_number(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    double number;
    if (!take_real(r, step, &number))
        return cut(r, path, "a number is not whole");
    if (step->op == KUR__AVRO_FLOAT || step->op == KUR__AVRO_LONG_TO_FLOAT)
        STORE(float, value, number);
    else
        STORE(double, value, number);
    if (number >= step->real.least && number <= step->real.most)
        return KUR_OK;
    return check(r, step, value, path);
}

static kur_status take_decimal(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    int64_t number;
    size_t size = step->integer.size;
    if (step->op == KUR__AVRO_DECIMAL ? !kur__avro_take_size(&r->bytes, &size) : size > kur__avro_left(&r->bytes))
        return cut(r, path, "a decimal is not whole");
    if (!kur__avro_unscaled(r->bytes.at, size, &number))
        return kur__error_at(r->bytes.error, KUR_ERROR_MISMATCH, path,
                             size == 0 ? "a decimal of no bytes" : "has more than %d digits",
                             (int)step->type->precision);
    r->bytes.at += size;
    STORE(int64_t, value, number);
    if (number >= step->integer.least && number <= step->integer.most)
        return KUR_OK;
    return check(r, step, value, path);
}

static kur_status take_symbol(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    size_t index;
    kur_status status = kur__avro_take_index(&r->bytes, step->symbols.count, "symbol", &index, path);
    if (status != KUR_OK)
        return status;
    if (step->symbols.values[index] == 0)
        return kur__error_at(r->bytes.error, KUR_ERROR_MISMATCH, path, "is not a symbol of %s", step->type->name);
    STORE(int32_t, value, step->symbols.values[index]);
    return KUR_OK;
}

/* ---- Texts ---- */

/* Takes bytes whose size stands in front; `copy` is where they lie in the arena. */
static kur_status take_text(reader *r, char **copy, size_t *size, const kur__path *path)
{
    if (!kur__avro_take_size(&r->bytes, size))
        return cut(r, path, "a text is not whole");
    if (r->copied == NULL) {
        r->copied = r->bytes.at;
        r->texts = kur_arena_copy(r->arena, r->bytes.at, kur__avro_left(&r->bytes));
        if (r->texts == NULL)
            return kur__error_no_memory(r->bytes.error);
    }
    *copy = r->texts + (r->bytes.at - r->copied);
    r->bytes.at += *size;
    return KUR_OK;
}

static kur_status take_string(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    char *text;
    size_t size;
    kur_status status = take_text(r, &text, &size, path);
    if (status != KUR_OK)
        return status;
    bool plain = kur__avro_is_plain(text, size);
    if (!plain && memchr(text, '\0', size) != NULL)
        return kur__error_at(r->bytes.error, KUR_ERROR_MISMATCH, path, "has a NUL inside");
    text[size] = '\0';
    memcpy(value, &text, sizeof text);
    if (plain && size >= step->length.least && size <= step->length.most)
        return KUR_OK;
    return check(r, step, value, path);
}

static kur_status take_bytes(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    char *data;
    size_t size;
    kur_status status = take_text(r, &data, &size, path);
    if (status != KUR_OK)
        return status;
    kur_bytes bytes = kur_bytes_of(data, size);
    memcpy(value, &bytes, sizeof bytes);
    return size >= step->length.least && size <= step->length.most ? KUR_OK : check(r, step, value, path);
}

static kur_status take_uuid(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    size_t size;
    if (!kur__avro_take_size(&r->bytes, &size))
        return cut(r, path, "a UUID is not whole");
    const char *text = (const char *)r->bytes.at;
    r->bytes.at += size;
    return kur__value_parse(step->type, text, size, NULL, value, path, r->bytes.error);
}

/* ---- Containers ---- */

static kur_status no_room(const reader *r, const kur__path *path)
{
    return kur__error_at(r->bytes.error, KUR_ERROR_TOO_LARGE, path, "would take more than %d MiB of memory",
                         STRUCTS_MAX / (1024 * 1024));
}

/* Room for `more` items behind those that are there. */
static kur_status grow(reader *r, const kur__avro_step *step, kur__items *items, size_t *room, size_t more,
                       const kur__path *path)
{
    size_t wanted = items->count + more, size; /* each is below the size of the input and KUR_AVRO_ITEMS_MAX */
    if (wanted <= *room)
        return KUR_OK;
    if (items->count > 0 && wanted < items->count + items->count / 2)
        wanted = items->count + items->count / 2;
    if (__builtin_mul_overflow(wanted, step->items.stride, &size) || size > STRUCTS_MAX - r->structs)
        return no_room(r, path);
    char *grown = kur_arena_alloc(r->arena, size);
    if (grown == NULL)
        return kur__error_no_memory(r->bytes.error);
    if (items->count > 0)
        memcpy(grown, items->items, items->count * step->items.stride);
    r->structs += size;
    items->items = grown;
    *room = wanted;
    return KUR_OK;
}

static kur_status take_key(reader *r, char *item, kur__path *at)
{
    char *key;
    size_t size;
    kur_status status = take_text(r, &key, &size, at);
    if (status != KUR_OK)
        return status;
    if (memchr(key, '\0', size) != NULL)
        return kur__error_at(r->bytes.error, KUR_ERROR_MISMATCH, at, "has a NUL inside");
    key[size] = '\0';
    memcpy(item, &key, sizeof key);
    /* Shown in paths; kur__value_check looks at what it is once the map is whole. */
    if (kur__avro_is_plain(key, size)) {
        at->name = key;
        at->is_key = true;
    }
    return KUR_OK;
}

static kur_status take_block(reader *r, const kur__avro_step *step, kur__items *items, size_t count,
                             const kur__path *path, size_t depth)
{
    kur_status status = KUR_OK;
    for (; count > 0 && status == KUR_OK; count--) {
        const uint8_t *before = r->bytes.at;
        char *item = items->items + items->count * step->items.stride;
        kur__path at = {.up = path, .index = items->count};
        items->count++;
        if (step->op == KUR__AVRO_MAP)
            status = take_key(r, item, &at);
        if (status == KUR_OK)
            status = run(r, step->items.item, item, &at, depth);
        if (status == KUR_OK && kur__avro_is_many_empty(&r->bytes, before))
            status = kur__avro_too_empty(&r->bytes, path);
    }
    return status;
}

static kur_status take_items(reader *r, const kur__avro_step *step, char *value, const kur__path *path, size_t depth)
{
    kur__items items = {NULL, 0};
    size_t room = 0;
    if (depth >= KUR_DEPTH_MAX)
        return kur__avro_too_deep(&r->bytes, path);
    for (kur__avro_block block;;) {
        kur_status status = kur__avro_take_block(&r->bytes, step->items.least, &block, path);
        if (status == KUR_OK && block.count == 0)
            break;
        if (status == KUR_OK)
            status = grow(r, step, &items, &room, block.count, path);
        if (status == KUR_OK)
            status = take_block(r, step, &items, block.count, path, depth + 1);
        if (status == KUR_OK)
            status = kur__avro_end_block(&r->bytes, &block, path);
        if (status != KUR_OK)
            return status;
    }
    memcpy(value, &items, sizeof items);
    return check(r, step, value, path);
}

static kur_status take_record(reader *r, const kur__avro_steps *steps, char *record, const kur__path *path,
                              size_t depth)
{
    if (depth >= KUR_DEPTH_MAX)
        return kur__avro_too_deep(&r->bytes, path);
    kur__path at = {.up = path};
    for (const kur__avro_step *step = steps->first, *end = step + steps->count; step < end; step++) {
        at.name = step->name;
        kur_status status = run(r, step, record, &at, depth + 1);
        if (status != KUR_OK)
            return status;
    }
    return KUR_OK;
}

static kur_status take_branch(reader *r, const kur__avro_step *step, char *value, const kur__path *path, size_t depth)
{
    size_t index;
    kur_status status = kur__avro_take_index(&r->bytes, step->branches.count, "branch", &index, path);
    return status == KUR_OK ? run(r, &step->branches.first[index], value, path, depth) : status;
}

/* ---- All of them ---- */

static kur_status take_fixed(reader *r, const kur__avro_step *step, char *value, const kur__path *path)
{
    return kur__avro_take_raw(&r->bytes, value, step->size) ? KUR_OK : cut(r, path, "a fixed is not whole");
}

static kur_status take_bool(reader *r, char *value, const kur__path *path)
{
    if (kur__avro_left(&r->bytes) == 0 || *r->bytes.at > 1)
        return cut(r, path, "neither true nor false");
    *(bool *)value = *r->bytes.at++ == 1;
    return KUR_OK;
}

static kur_status run(reader *r, const kur__avro_step *step, char *around, const kur__path *path, size_t depth)
{
    char *value = around + step->offset;
    switch (step->op) {
    case KUR__AVRO_STRING:
        return take_string(r, step, value, path);
    case KUR__AVRO_INT:
    case KUR__AVRO_LONG:
    case KUR__AVRO_TIMESTAMP:
        return take_integer(r, step, value, path);
    case KUR__AVRO_UNION:
        return take_branch(r, step, value, path, depth);
    case KUR__AVRO_SOME:
        *(bool *)value = true;
        return run(r, step->branches.first, value, path, depth);
    case KUR__AVRO_RECORD:
        return take_record(r, step->steps, value, path, depth);
    case KUR__AVRO_LIST:
    case KUR__AVRO_MAP:
        return take_items(r, step, value, path, depth);
    case KUR__AVRO_DECIMAL:
    case KUR__AVRO_DECIMAL_OF_FIXED:
        return take_decimal(r, step, value, path);
    case KUR__AVRO_BOOL:
        return take_bool(r, value, path);
    case KUR__AVRO_FLOAT:
    case KUR__AVRO_DOUBLE:
    case KUR__AVRO_LONG_TO_FLOAT:
    case KUR__AVRO_LONG_TO_DOUBLE:
    case KUR__AVRO_FLOAT_TO_DOUBLE:
        return take_number(r, step, value, path);
    case KUR__AVRO_BYTES:
        return take_bytes(r, step, value, path);
    case KUR__AVRO_UUID:
        return take_uuid(r, step, value, path);
    case KUR__AVRO_FIXED:
        return take_fixed(r, step, value, path);
    case KUR__AVRO_ENUM:
        return take_symbol(r, step, value, path);
    case KUR__AVRO_SKIP:
        return kur__avro_skip(&r->bytes, step->node, path, depth);
    case KUR__AVRO_DEFAULT:
        memcpy(value, step->bytes.data, step->bytes.size);
        return KUR_OK;
    case KUR__AVRO_FAIL:
        return kur_error_set(r->bytes.error, KUR_ERROR_MISMATCH, "%s", step->words);
    case KUR__AVRO_NOTHING:
        return KUR_OK;
    }
    return KUR_OK;
}

kur_status kur_avro_read(const kur_avro_plan *plan, kur_bytes data, kur_arena *arena, void *record, kur_error *error)
{
    if (plan == NULL || arena == NULL || record == NULL)
        return kur_error_null(error, plan == NULL ? "plan" : arena == NULL ? "arena" : "record");
    reader r = {.arena = arena, .structs = plan->type->size};
    kur_status status = kur__avro_begin(&r.bytes, data, error);
    if (status != KUR_OK)
        return status;
    /* Results stay untouched on failure: read into the arena first. */
    char *made = kur_arena_alloc(arena, plan->type->size);
    status = made != NULL ? run(&r, &plan->root, made, NULL, 0) : kur__error_no_memory(error);
    if (status == KUR_OK)
        status = kur__avro_finish(&r.bytes);
    if (status == KUR_OK)
        memcpy(record, made, plan->type->size);
    return status;
}
