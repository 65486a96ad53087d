/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one walk over two schemas resolves them. With a type it leaves steps behind, and what cannot be read
 * of a writer's union fails when it is met; without one it only says whether everything that can be written can be
 * read.
 *
 * Types hold themselves: each pair of records is worked out once, and whoever meets it again, also while that goes on,
 * takes its steps. A pair under way counts as one that can be read; when it fails in the end, the pairs that were found
 * meanwhile are forgotten, for they may have relied on it.
 *
 * Schemas come from outside: how deep the walk goes, how long, and what it takes of memory is bounded.
 */
#include "event/avro_plan.h"

#include <kurier/sys/memory.h>

#include "base/error.h"
#include "event/avro_bytes.h"

enum {
    DEPTH_MAX = 256,             /* of types within types before one comes again; values nest KUR_DEPTH_MAX deep */
    WORK_MAX = 20 * 1000 * 1000, /* names compared */
    TRY_WORK = 32,               /* what it costs to try a branch, with the words of why not */
    MEMORY_MAX = 32 * 1024 * 1024,
    HEADS = 1024
};

/* Two records, and what has become of them. */
typedef struct pair {
    uint32_t writer, reader;
    size_t next; /* with the same head, from 1; 0: none */
    kur__avro_steps *steps;
    bool failed;
} pair;

typedef struct resolver {
    kur_arena *arena;
    kur_error *error;
    pair *pairs;
    size_t count, capacity, work;
    size_t heads[HEADS];
} resolver;

/* A place: what is resolved there, and into what. */
static kur_status resolve(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                          const kur__path *path, size_t depth);

static kur_status spend(resolver *r, size_t work)
{
    r->work += work;
    if (r->work > WORK_MAX || kur_arena_size(r->arena) > MEMORY_MAX)
        return kur_error_set(r->error, KUR_ERROR_TOO_LARGE, "the schemas have too much in common to be worked out");
    return KUR_OK;
}

/* Steps without a type leave nothing behind: one serves for all. */
static kur__avro_step *new_steps(resolver *r, size_t count)
{
    return kur_arena_alloc(r->arena, count * sizeof(kur__avro_step));
}

/* ---- Pairs ---- */

static size_t *head_of(resolver *r, uint32_t writer, uint32_t reader)
{
    return &r->heads[(writer * 31 + reader) % HEADS];
}

static pair *find_pair(resolver *r, const kur__node *writer, const kur__node *reader)
{
    size_t at = *head_of(r, writer->number, reader->number);
    while (at != 0 && (r->pairs[at - 1].writer != writer->number || r->pairs[at - 1].reader != reader->number))
        at = r->pairs[at - 1].next;
    return at != 0 ? &r->pairs[at - 1] : NULL;
}

static kur_status add_pair(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_steps *steps)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity > 0 ? r->capacity * 2 : 16;
        pair *pairs = kur_realloc(r->pairs, capacity * sizeof *pairs);
        if (pairs == NULL)
            return kur__error_no_memory(r->error);
        r->pairs = pairs;
        r->capacity = capacity;
    }
    size_t *head = head_of(r, writer->number, reader->number);
    r->pairs[r->count++] = (pair){.writer = writer->number, .reader = reader->number, .next = *head, .steps = steps};
    *head = r->count;
    return KUR_OK;
}

static void pair_failed(resolver *r, size_t number)
{
    for (; r->count > number + 1; r->count--) {
        const pair *last = &r->pairs[r->count - 1];
        *head_of(r, last->writer, last->reader) = last->next;
    }
    r->pairs[number].failed = true;
}

/* ---- Records ---- */

static kur_status lacks_field(resolver *r, const kur__node *writer, const kur__path *path)
{
    kur__avro_words words = kur__avro_call(writer);
    return kur__error_at(r->error, KUR_ERROR_MISMATCH, path,
                         "the writer's %s has no such field, and there is no default", words.text);
}

/* A field of the reader's that the writer does not have. */
static kur_status resolve_default(resolver *r, const kur__node *writer, const kur__node_field *field,
                                  kur__avro_step *step, const kur__path *path)
{
    bool has = false;
    step->op = KUR__AVRO_NOTHING;
    if (step->type == NULL)
        return field->default_value != NULL ? KUR_OK : lacks_field(r, writer, path);
    if (step->type->kind == KUR_KIND_IS_OPTIONAL)
        return KUR_OK;
    void *value = kur_arena_alloc(r->arena, step->type->size);
    if (value == NULL)
        return kur__error_no_memory(r->error);
    kur_status status = kur__field_default(step->field, value, &has, path, r->error);
    if (status == KUR_OK && !has)
        return lacks_field(r, writer, path);
    step->op = KUR__AVRO_DEFAULT;
    step->bytes.data = value;
    step->bytes.size = step->type->size;
    return status;
}

/* Which field of the reader's, from 1, reads each of the writer's; 0: none. */
static kur_status pair_fields(resolver *r, const kur__node *writer, const kur__node *reader, uint32_t *readers)
{
    for (size_t i = 0; i < reader->count; i++) {
        const kur__node_field *field = &reader->fields[i], *found;
        if (i < writer->count && strcmp(writer->fields[i].name, field->name) == 0) {
            readers[i] = (uint32_t)i + 1;
            continue;
        }
        kur_status status = spend(r, writer->count * (1 + field->alias_count));
        if (status != KUR_OK)
            return status;
        found = kur__avro_find_field(writer, reader, field);
        if (found != NULL && readers[found - writer->fields] == 0)
            readers[found - writer->fields] = (uint32_t)i + 1;
    }
    return KUR_OK;
}

static void begin_field(kur__avro_step *step, const kur__node *reader, const kur_type *type, size_t index)
{
    const kur_field *field = type != NULL ? kur__type_field(type, index) : NULL;
    *step = (kur__avro_step){.name = reader->fields[index].name, .field = field};
    if (field == NULL)
        return;
    step->name = field->name;
    step->type = field->type;
    step->offset = field->offset;
}

/* A field of the writer's that the reader does not have. */
static kur_status resolve_removed(resolver *r, const kur__node_field *field, const kur_type *type, kur__avro_step *step,
                                  const kur__path *path)
{
    if (type != NULL && type->unknown_fields == KUR_UNKNOWN_FIELDS_REFUSE)
        return kur__error_at(r->error, KUR_ERROR_MISMATCH, path, "is not a field of %s", type->name);
    *step = (kur__avro_step){.op = KUR__AVRO_SKIP, .name = field->name, .node = field->node};
    return KUR_OK;
}

static kur_status resolve_fields(resolver *r, const kur__node *writer, const kur__node *reader, const kur_type *type,
                                 kur__avro_steps *steps, const kur__path *path, size_t depth)
{
    kur__avro_step one, *all = type != NULL ? new_steps(r, writer->count + reader->count) : NULL;
    uint32_t *readers = kur_calloc(writer->count + 1, sizeof *readers);
    bool *is_read = kur_calloc(reader->count + 1, sizeof *is_read);
    kur_status status = KUR_OK;
    if (readers == NULL || is_read == NULL || (type != NULL && all == NULL))
        status = kur__error_no_memory(r->error);
    if (status == KUR_OK)
        status = pair_fields(r, writer, reader, readers);
    size_t count = 0;
    for (size_t i = 0; i < writer->count + reader->count && status == KUR_OK; i++) {
        bool is_default = i >= writer->count;
        size_t index = is_default ? i - writer->count : readers[i];
        kur__avro_step *step = all != NULL ? &all[count] : &one;
        kur__path at = {.up = path, .name = is_default ? reader->fields[index].name : writer->fields[i].name};
        if (is_default) {
            if (is_read[index])
                continue;
            begin_field(step, reader, type, index);
            status = resolve_default(r, writer, &reader->fields[index], step, &at);
        } else if (index == 0) {
            status = resolve_removed(r, &writer->fields[i], type, step, &at);
        } else {
            is_read[index - 1] = true;
            begin_field(step, reader, type, index - 1);
            at.name = step->name;
            status = resolve(r, writer->fields[i].node, reader->fields[index - 1].node, step, &at, depth + 1);
        }
        bool is_nothing =
            step->op == KUR__AVRO_NOTHING || (step->op == KUR__AVRO_SKIP && step->node->kind == KUR__SCHEMA_NULL);
        count += !is_nothing;
    }
    kur_free(readers);
    kur_free(is_read);
    if (status == KUR_OK && steps != NULL)
        *steps = (kur__avro_steps){all, count};
    return status;
}

static kur_status resolve_record(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                                 const kur__path *path, size_t depth)
{
    const pair *known = find_pair(r, writer, reader);
    step->op = KUR__AVRO_RECORD;
    if (known != NULL) {
        step->steps = known->steps;
        kur__avro_words words = kur__avro_call(writer);
        return known->failed
                   ? kur__error_at(r->error, KUR_ERROR_MISMATCH, path, "the writer's %s cannot be read", words.text)
                   : KUR_OK;
    }
    if (step->type != NULL && step->type->field_count != reader->count)
        return kur__error_at(r->error, KUR_ERROR_INVALID_ARGUMENT, path, "the schema is not the type's");
    kur__avro_steps *steps = NULL;
    if (step->type != NULL && (steps = kur_arena_alloc(r->arena, sizeof *steps)) == NULL)
        return kur__error_no_memory(r->error);
    size_t number = r->count;
    kur_status status = add_pair(r, writer, reader, steps);
    if (status != KUR_OK)
        return status;
    status = resolve_fields(r, writer, reader, step->type, steps, path, depth);
    if (status != KUR_OK)
        pair_failed(r, number);
    step->steps = steps;
    return status;
}

/* ---- Other types that have parts ---- */

static kur_status resolve_items(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                                const kur__path *path, size_t depth)
{
    const kur_type *type = step->type;
    bool is_map = reader->kind == KUR__SCHEMA_MAP;
    kur__avro_step one = {.op = KUR__AVRO_NOTHING}, *item = &one;
    step->op = is_map ? KUR__AVRO_MAP : KUR__AVRO_LIST;
    if (type != NULL) {
        item = new_steps(r, 1);
        if (item == NULL)
            return kur__error_no_memory(r->error);
        item->type = type->element;
        item->offset = is_map ? kur__map_value_offset(type) : 0;
        step->items.item = item;
        step->items.stride = kur__item_size(type);
        step->items.least = kur__avro_least(kur__node_element(writer)) + is_map;
    }
    kur__path at = {.up = path, .index = KUR__ANY_ITEM};
    return resolve(r, kur__node_element(writer), kur__node_element(reader), item, &at, depth + 1);
}

static size_t find_symbol(const kur__node *node, const char *symbol)
{
    size_t i = 0;
    while (i < node->count && strcmp(node->symbols[i], symbol) != 0)
        i++;
    return i;
}

static kur_status resolve_enum(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                               const kur__path *path)
{
    int32_t *values = step->type != NULL ? kur_arena_alloc(r->arena, writer->count * sizeof *values) : NULL;
    if (step->type != NULL && values == NULL)
        return kur__error_no_memory(r->error);
    kur_status status = spend(r, writer->count * reader->count / 2);
    for (size_t i = 0; i < writer->count && status == KUR_OK; i++) {
        const char *symbol = writer->symbols[i];
        size_t found = i < reader->count && strcmp(reader->symbols[i], symbol) == 0 ? i : find_symbol(reader, symbol);
        if (found == reader->count && reader->default_symbol != NULL)
            found = find_symbol(reader, reader->default_symbol);
        if (values != NULL)
            values[i] = found < reader->count ? (int32_t)found + 1 : 0;
        else if (found == reader->count)
            status = kur__error_at(r->error, KUR_ERROR_MISMATCH, path,
                                   "the writer's symbol %.64s is not known, and there is no default", symbol);
    }
    step->op = KUR__AVRO_ENUM;
    step->symbols.values = values;
    step->symbols.count = writer->count;
    return status;
}

/* ---- Unions ---- */

static bool is_final(kur_status status)
{
    return status != KUR_OK && status != KUR_ERROR_MISMATCH;
}

/* What fails when it is met; a null where there is a default takes that. */
static kur_status resolve_unreadable(resolver *r, const kur__node *branch, kur__avro_step *step, const kur_error *why)
{
    bool has = false;
    if (branch->kind == KUR__SCHEMA_NULL && step->field != NULL && step->field->type == step->type) {
        void *value = kur_arena_alloc(r->arena, step->type->size);
        if (value == NULL)
            return kur__error_no_memory(r->error);
        if (kur__field_default(step->field, value, &has, NULL, NULL) == KUR_OK && has) {
            step->op = KUR__AVRO_DEFAULT;
            step->bytes.data = value;
            step->bytes.size = step->type->size;
            return KUR_OK;
        }
    }
    step->op = KUR__AVRO_FAIL;
    step->words = kur_arena_copy(r->arena, why->message, strlen(why->message));
    return step->words != NULL ? KUR_OK : kur__error_no_memory(r->error);
}

/* Each branch by itself. When none can be read, the first reason is told that is not about null. */
static kur_status resolve_branches(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                                   const kur__path *path, size_t depth)
{
    kur_error *error = r->error;
    kur_error first = {.code = KUR_OK};
    bool is_of_null = false;
    size_t readable = 0;
    kur__avro_step *steps = new_steps(r, writer->count);
    if (steps == NULL)
        return kur__error_no_memory(error);
    for (size_t i = 0; i < writer->count; i++) {
        kur_error why = {.code = KUR_OK};
        steps[i] = (kur__avro_step){.type = step->type, .field = step->field};
        r->error = &why;
        kur_status status = resolve(r, writer->branches[i], reader, &steps[i], path, depth + 1);
        r->error = error;
        readable += status == KUR_OK;
        bool is_null = writer->branches[i]->kind == KUR__SCHEMA_NULL;
        if (status == KUR_ERROR_MISMATCH && (first.code == KUR_OK || (is_of_null && !is_null))) {
            first = why;
            is_of_null = is_null;
        }
        if (status == KUR_ERROR_MISMATCH)
            status = resolve_unreadable(r, writer->branches[i], &steps[i], &why);
        else if (status != KUR_OK)
            return kur_error_set(error, status, "%s", why.message);
        if (status != KUR_OK)
            return status;
    }
    if (writer->count == 0)
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "the writer's union is empty");
    if (readable == 0)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "%s", first.message);
    step->op = KUR__AVRO_UNION;
    step->branches.first = steps;
    step->branches.count = writer->count;
    return KUR_OK;
}

/* Whatever the writer can write. */
static kur_status resolve_each_branch(resolver *r, const kur__node *writer, const kur__node *reader,
                                      kur__avro_step *step, const kur__path *path, size_t depth)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; i < writer->count && status == KUR_OK; i++)
        status = resolve(r, writer->branches[i], reader, step, path, depth + 1);
    return status;
}

/* The first of the reader's branches that reads the writer's type. */
static kur_status resolve_any_branch(resolver *r, const kur__node *writer, const kur__node *reader,
                                     kur__avro_step *step, const kur__path *path, size_t depth)
{
    kur_error *error = r->error;
    kur_error meant = {.code = KUR_OK};
    for (size_t i = 0; i < reader->count; i++) {
        kur_error why = {.code = KUR_OK};
        kur_status status = spend(r, TRY_WORK);
        if (status != KUR_OK)
            return status;
        r->error = &why;
        status = resolve(r, writer, reader->branches[i], step, path, depth + 1);
        r->error = error;
        if (status == KUR_OK)
            return KUR_OK;
        if (is_final(status))
            return kur_error_set(error, status, "%s", why.message);
        /* A branch that matches by itself is what was meant: what is wrong in there says more. */
        if (meant.code == KUR_OK && kur__avro_match(writer, reader->branches[i], NULL, NULL) == KUR_OK)
            meant = why;
    }
    if (meant.code != KUR_OK)
        return kur_error_set(error, meant.code, "%s", meant.message);
    kur__avro_words words = kur__avro_call(writer);
    return kur__error_at(error, KUR_ERROR_MISMATCH, path, "the writer's %s is none of the reader's union", words.text);
}

static kur_status resolve_optional(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                                   const kur__path *path, size_t depth)
{
    if (writer->kind == KUR__SCHEMA_NULL) {
        step->op = KUR__AVRO_NOTHING;
        return KUR_OK;
    }
    kur__avro_step *some = new_steps(r, 1);
    if (some == NULL)
        return kur__error_no_memory(r->error);
    *some =
        (kur__avro_step){.type = step->type->element, .field = step->field, .offset = kur__optional_offset(step->type)};
    step->op = KUR__AVRO_SOME;
    step->branches.first = some;
    step->branches.count = 1;
    size_t value = reader->branches[0]->kind == KUR__SCHEMA_NULL && reader->count > 1;
    return resolve(r, writer, reader->branches[value], some, path, depth + 1);
}

/* ---- Any types ---- */

static kur_status resolve(resolver *r, const kur__node *writer, const kur__node *reader, kur__avro_step *step,
                          const kur__path *path, size_t depth)
{
    const kur_type *type = step->type;
    if (depth > DEPTH_MAX)
        return kur_error_set(r->error, KUR_ERROR_TOO_LARGE, "the schemas nest deeper than %d", DEPTH_MAX);
    kur_status status = spend(r, 1);
    if (status != KUR_OK)
        return status;
    if (writer->kind == KUR__SCHEMA_UNION)
        return type != NULL ? resolve_branches(r, writer, reader, step, path, depth)
                            : resolve_each_branch(r, writer, reader, step, path, depth);
    if (reader->kind == KUR__SCHEMA_UNION)
        return type != NULL ? resolve_optional(r, writer, reader, step, path, depth)
                            : resolve_any_branch(r, writer, reader, step, path, depth);
    status = kur__avro_match(writer, reader, path, r->error);
    if (status != KUR_OK)
        return status;
    switch (reader->kind) {
    case KUR__SCHEMA_RECORD:
        return resolve_record(r, writer, reader, step, path, depth);
    case KUR__SCHEMA_ARRAY:
    case KUR__SCHEMA_MAP:
        return resolve_items(r, writer, reader, step, path, depth);
    case KUR__SCHEMA_ENUM:
        return resolve_enum(r, writer, reader, step, path);
    default:
        if (type != NULL)
            kur__avro_plain(step, writer, reader);
        return KUR_OK;
    }
}

kur_status kur__avro_resolve(const kur__node *writer, const kur__node *reader, kur_arena *arena, kur__avro_step *root,
                             kur_error *error)
{
    resolver *r = kur_calloc(1, sizeof *r);
    if (r == NULL || arena == NULL) {
        kur_free(r);
        return kur__error_no_memory(error);
    }
    r->arena = arena;
    r->error = error;
    kur_status status = resolve(r, writer, reader, root, NULL, 0);
    kur_free(r->pairs);
    kur_free(r);
    return status;
}
