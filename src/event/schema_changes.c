/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is different between two schemas, for people: fields are paired as resolution pairs them, so that a renamed one
 * is not one that went and one that came. What follows from it for readers is kur_schema_reads' to say.
 *
 * A record of the later schema is looked into once, where it is met first. How deep the walk goes and how long is
 * bounded, for schemas come from outside.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "base/error.h"
#include "event/avro_plan.h"

enum {
    DEPTH_MAX = 256,
    WORK_MAX = 20 * 1000 * 1000, /* names compared */
    WORDS_DEPTH = 4              /* of types within types that are called by all their names */
};

struct changes {
    kur_schema_change_taker *take;
    void *user;
    kur_error *error;
    bool *seen; /* by the number of a record of the later schema */
    size_t work;
    kur_buffer path, before, after;
};

static kur_status walk(struct changes *c, const kur__node *before, const kur__node *after, size_t depth);

static kur_status need(const struct changes *c, kur_status status)
{
    return status == KUR_OK ? KUR_OK : kur__error_no_memory(c->error);
}

static kur_status spend(struct changes *c, size_t work)
{
    c->work += work;
    if (c->work <= WORK_MAX)
        return KUR_OK;
    return kur_error_set(c->error, KUR_ERROR_TOO_LARGE, "the schemas have too much in common to be compared");
}

/* ---- Words ---- */

static kur_status put(kur_buffer *text, const char *words)
{
    return kur_buffer_append(text, words, strlen(words));
}

/* "array of long", "union of null, string" */
static kur_status put_type(kur_buffer *text, const kur__node *node, int depth)
{
    kur__avro_words words = kur__avro_call(node);
    kur_status status = put(text, words.text);
    size_t parts = node->kind == KUR__SCHEMA_UNION                                    ? node->count
                   : node->kind == KUR__SCHEMA_ARRAY || node->kind == KUR__SCHEMA_MAP ? 1
                                                                                      : 0;
    for (size_t i = 0; i < parts && depth > 0 && status == KUR_OK; i++) {
        status = put(text, i == 0 ? " of " : ", ");
        if (status == KUR_OK)
            status = put_type(text, node->branches[i], depth - 1);
    }
    return status;
}

static int append(const char *data, size_t size, void *user)
{
    return kur_buffer_append(user, data, size) == KUR_OK ? 0 : -1;
}

static kur_status put_default(kur_buffer *text, const json_t *value)
{
    return json_dump_callback(value, append, text, JSON_COMPACT | JSON_ENCODE_ANY) == 0 ? KUR_OK : KUR_ERROR_NO_MEMORY;
}

/* "long = 0" */
static kur_status put_field(kur_buffer *text, const kur__node_field *field)
{
    kur_status status = put_type(text, field->node, WORDS_DEPTH);
    if (status == KUR_OK && field->default_value != NULL)
        status = put(text, " = ");
    return status == KUR_OK && field->default_value != NULL ? put_default(text, field->default_value) : status;
}

/* ---- Telling ---- */

static kur_status tell(struct changes *c, kur_schema_change_kind kind, const char *before, const char *after)
{
    kur_schema_change change = {.size = sizeof change,
                                .kind = kind,
                                .path = c->path.data != NULL ? c->path.data : "",
                                .before = before,
                                .after = after};
    return c->take(&change, c->user, c->error);
}

/* One of what there are several of came, or went. */
static kur_status tell_part(struct changes *c, kur_schema_change_kind kind, const char *part, bool came)
{
    return tell(c, kind, came ? NULL : part, came ? part : NULL);
}

static kur_status tell_types(struct changes *c, const kur__node *before, const kur__node *after)
{
    c->before.size = c->after.size = 0;
    kur_status status = put_type(&c->before, before, WORDS_DEPTH);
    if (status == KUR_OK)
        status = put_type(&c->after, after, WORDS_DEPTH);
    status = need(c, status);
    return status == KUR_OK ? tell(c, KUR_SCHEMA_TYPE, c->before.data, c->after.data) : status;
}

static kur_status tell_field(struct changes *c, const kur__node_field *field, bool came)
{
    c->after.size = 0;
    kur_status status = need(c, put_field(&c->after, field));
    return status == KUR_OK ? tell_part(c, KUR_SCHEMA_FIELD, c->after.data, came) : status;
}

static kur_status tell_defaults(struct changes *c, const json_t *before, const json_t *after)
{
    kur_status status = KUR_OK;
    c->before.size = c->after.size = 0;
    if (before != NULL)
        status = put_default(&c->before, before);
    if (status == KUR_OK && after != NULL)
        status = put_default(&c->after, after);
    status = need(c, status);
    return status == KUR_OK ? tell(c, KUR_SCHEMA_DEFAULT, before != NULL ? c->before.data : NULL,
                                   after != NULL ? c->after.data : NULL)
                            : status;
}

/* ---- The path ---- */

static kur_status enter(struct changes *c, const char *part)
{
    bool needs_dot = c->path.size > 0 && part[0] != '[';
    return need(c, kur_buffer_print(&c->path, "%s%s", needs_dot ? "." : "", part));
}

static void leave(struct changes *c, size_t size)
{
    c->path.size = size;
    if (c->path.data != NULL)
        c->path.data[size] = '\0';
}

/* ---- Types with parts ---- */

static kur_status walk_field(struct changes *c, const kur__node_field *before, const kur__node_field *after,
                             size_t depth)
{
    kur_status status = KUR_OK;
    if (strcmp(before->name, after->name) != 0)
        status = tell(c, KUR_SCHEMA_NAME, before->name, after->name);
    bool is_same_default = before->default_value == after->default_value ||
                           (before->default_value != NULL && after->default_value != NULL &&
                            json_equal(before->default_value, after->default_value) != 0);
    if (status == KUR_OK && !is_same_default)
        status = tell_defaults(c, before->default_value, after->default_value);
    return status == KUR_OK ? walk(c, before->node, after->node, depth + 1) : status;
}

/* `is_paired`: which fields of the earlier record have one in the later. */
static kur_status walk_fields(struct changes *c, const kur__node *before, const kur__node *after, bool *is_paired,
                              size_t depth)
{
    kur_status status = KUR_OK;
    size_t size = c->path.size;
    for (size_t i = 0; i < after->count && status == KUR_OK; i++) {
        const kur__node_field *field = &after->fields[i], *found;
        status = spend(c, before->count * (1 + field->alias_count));
        if (status == KUR_OK)
            status = enter(c, field->name);
        if (status != KUR_OK)
            break;
        found = kur__avro_find_field(before, after, field);
        if (found != NULL && is_paired[found - before->fields])
            found = NULL;
        if (found != NULL)
            is_paired[found - before->fields] = true;
        status = found != NULL ? walk_field(c, found, field, depth) : tell_field(c, field, true);
        leave(c, size);
    }
    for (size_t i = 0; i < before->count && status == KUR_OK; i++) {
        if (is_paired[i])
            continue;
        status = enter(c, before->fields[i].name);
        if (status == KUR_OK)
            status = tell_field(c, &before->fields[i], false);
        leave(c, size);
    }
    return status;
}

static kur_status walk_record(struct changes *c, const kur__node *before, const kur__node *after, size_t depth)
{
    if (c->seen[after->number])
        return KUR_OK;
    c->seen[after->number] = true;
    bool *is_paired = kur_calloc(before->count + 1, sizeof *is_paired);
    if (is_paired == NULL)
        return kur__error_no_memory(c->error);
    kur_status status = walk_fields(c, before, after, is_paired, depth);
    kur_free(is_paired);
    return status;
}

/* Those that only one of two enums has. */
static kur_status walk_symbols(struct changes *c, const kur__node *some, const kur__node *others, bool came)
{
    kur_status status = spend(c, some->count * others->count / 2);
    for (size_t i = 0; i < some->count && status == KUR_OK; i++) {
        size_t found = 0;
        while (found < others->count && strcmp(others->symbols[found], some->symbols[i]) != 0)
            found++;
        if (found == others->count)
            status = tell_part(c, KUR_SCHEMA_SYMBOL, some->symbols[i], came);
    }
    return status;
}

static kur_status walk_enum(struct changes *c, const kur__node *before, const kur__node *after)
{
    const char *was = before->default_symbol, *is = after->default_symbol;
    bool is_same = was == is || (was != NULL && is != NULL && strcmp(was, is) == 0);
    kur_status status = walk_symbols(c, after, before, true);
    if (status == KUR_OK)
        status = walk_symbols(c, before, after, false);
    return status == KUR_OK && !is_same ? tell(c, KUR_SCHEMA_DEFAULT, was, is) : status;
}

/* ---- Unions ---- */

static bool is_same_branch(const kur__node *before, const kur__node *after, bool by_full_name)
{
    if (before->kind != after->kind)
        return false;
    if (after->name == NULL)
        return true;
    return by_full_name ? strcmp(before->name, after->name) == 0 : kur__avro_is_same_name(before, after);
}

static const kur__node *find_branch_by(const kur__node *among, const kur__node *node, bool node_is_after,
                                       bool by_full_name)
{
    size_t count = among->kind == KUR__SCHEMA_UNION ? among->count : 1;
    for (size_t i = 0; i < count; i++) {
        const kur__node *branch = among->kind == KUR__SCHEMA_UNION ? among->branches[i] : among;
        if (node_is_after ? is_same_branch(branch, node, by_full_name) : is_same_branch(node, branch, by_full_name))
            return branch;
    }
    return NULL;
}

/* The branch that is of a node's kind and name, or NULL; a type that is no union counts as its only branch. */
static const kur__node *find_branch(const kur__node *among, const kur__node *node, bool node_is_after)
{
    const kur__node *found = find_branch_by(among, node, node_is_after, true);
    return found != NULL ? found : find_branch_by(among, node, node_is_after, false);
}

static kur_status tell_branch(struct changes *c, const kur__node *branch, bool came)
{
    c->after.size = 0;
    kur_status status = need(c, put_type(&c->after, branch, WORDS_DEPTH));
    return status == KUR_OK ? tell_part(c, KUR_SCHEMA_BRANCH, c->after.data, came) : status;
}

/* Both are unions, or one of them is: then its type was told, and what is in both is looked into. */
static kur_status walk_union(struct changes *c, const kur__node *before, const kur__node *after, size_t depth)
{
    bool are_both = before->kind == after->kind;
    size_t afters = after->kind == KUR__SCHEMA_UNION ? after->count : 1;
    kur_status status = KUR_OK;
    for (size_t i = 0; i < afters && status == KUR_OK; i++) {
        const kur__node *branch = after->kind == KUR__SCHEMA_UNION ? after->branches[i] : after;
        status = spend(c, 2 * before->count);
        const kur__node *found = status == KUR_OK ? find_branch(before, branch, true) : NULL;
        if (found != NULL)
            status = walk(c, found, branch, depth + 1);
        else if (status == KUR_OK && are_both)
            status = tell_branch(c, branch, true);
    }
    for (size_t i = 0; i < before->count && are_both && status == KUR_OK; i++) {
        status = spend(c, 2 * after->count);
        if (status == KUR_OK && find_branch(after, before->branches[i], false) == NULL)
            status = tell_branch(c, before->branches[i], false);
    }
    return status;
}

/* ---- All of them ---- */

static bool is_other_type(const kur__node *before, const kur__node *after)
{
    return before->kind != after->kind || before->logical != after->logical || before->length != after->length ||
           before->precision != after->precision || before->scale != after->scale;
}

static kur_status walk_items(struct changes *c, const kur__node *before, const kur__node *after, size_t depth)
{
    size_t size = c->path.size;
    kur_status status = enter(c, "[]");
    if (status == KUR_OK)
        status = walk(c, kur__node_element(before), kur__node_element(after), depth + 1);
    leave(c, size);
    return status;
}

static kur_status walk_parts(struct changes *c, const kur__node *before, const kur__node *after, size_t depth)
{
    switch (after->kind) {
    case KUR__SCHEMA_RECORD:
        return walk_record(c, before, after, depth);
    case KUR__SCHEMA_ENUM:
        return walk_enum(c, before, after);
    case KUR__SCHEMA_ARRAY:
    case KUR__SCHEMA_MAP:
        return walk_items(c, before, after, depth);
    case KUR__SCHEMA_UNION:
        return walk_union(c, before, after, depth);
    default:
        return KUR_OK;
    }
}

static kur_status walk(struct changes *c, const kur__node *before, const kur__node *after, size_t depth)
{
    kur_status status = spend(c, 1);
    if (status == KUR_OK && depth > DEPTH_MAX)
        status = kur_error_set(c->error, KUR_ERROR_TOO_LARGE, "the schemas nest deeper than %d types", DEPTH_MAX);
    if (status == KUR_OK && is_other_type(before, after))
        status = tell_types(c, before, after);
    bool are_same = before->kind == after->kind;
    if (status == KUR_OK && are_same && before->name != NULL && strcmp(before->name, after->name) != 0)
        status = tell(c, KUR_SCHEMA_NAME, before->name, after->name);
    if (status == KUR_OK && are_same)
        return walk_parts(c, before, after, depth);
    if (status == KUR_OK && (before->kind == KUR__SCHEMA_UNION || after->kind == KUR__SCHEMA_UNION))
        return walk_union(c, before, after, depth);
    return status;
}

kur_status kur_schema_changes(const kur_schema *before, const kur_schema *after, kur_schema_change_taker *take,
                              void *user, kur_error *error)
{
    if (before == NULL || after == NULL || take == NULL)
        return kur_error_null(error, before == NULL ? "before" : after == NULL ? "after" : "take");
    struct changes changes = {.take = take, .user = user, .error = error};
    changes.seen = kur_calloc(after->node_count + 1, sizeof *changes.seen);
    kur_status status =
        changes.seen != NULL ? walk(&changes, before->root, after->root, 0) : kur__error_no_memory(error);
    kur_free(changes.seen);
    kur_buffer_done(&changes.path);
    kur_buffer_done(&changes.before);
    kur_buffer_done(&changes.after);
    return status;
}
