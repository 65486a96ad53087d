/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier schema` share.
 */
#ifndef KURIER_TOOLS_SCHEMA_H
#define KURIER_TOOLS_SCHEMA_H

#include "registry.h"

enum {
    SCHEMA_REFERENCES_MAX = 100
};

struct schema {
    struct invocation call;
    bool is_brief;                    /* list */
    bool shows_text, shows_canonical; /* show */
    const char *directory;            /* register, check: files called SUBJECT.avsc */
    bool normalizes;                  /* register, check */
    kur_subject_reference references[SCHEMA_REFERENCES_MAX];
    size_t reference_count;
    const char *level; /* diff: must be kept */
};

extern struct schema schema_state;
extern const struct verb schema_list, schema_show, schema_register, schema_check, schema_diff;

/* ---- What is meant by an argument, in schema_find.c ---- */

/* A schema that was found; what is not known of it is NULL, 0 and false. */
struct schema_found {
    const char *name;   /* "orders-value:3", "id 7", a file */
    kur_schema *schema; /* NULL: it is none of Avro's */
    kur_bytes text;
    const char *kind, *subject;
    int version;
    uint32_t id;
    const kur_subject_reference *references;
    size_t reference_count;
};

/* What an argument may be, for the texts of verbs. */
#define SCHEMA_ARGUMENT                                                                                                \
    "A file is what has a / or a . of .avsc or .json in its name, and - is standard input; a number alone is an id, "  \
    "and 32 hexadecimal digits with hyphens are a GUID; everything else is a subject, with :VERSION or :latest "       \
    "behind "                                                                                                          \
    "it, or without, which is the latest."

/*
 * Finds it. `*registry` is opened when it is needed, and stays the caller's. EXIT_DONE, or it was said what is wrong;
 * schema_found_done in any case.
 */
int schema_find(struct invocation *call, kur_registry **registry, const char *what, struct schema_found *found);
void schema_found_done(struct schema_found *found);

/* Likewise, and it is one of Avro's. */
int schema_find_avro(struct invocation *call, kur_registry **registry, const char *what, struct schema_found *found);

/* ---- Files and their subjects, in schema_files.c ---- */

/* --reference, --normalize, --dir */
extern const struct options schema_files_options;

/* A schema in a file, and the subject that it is for. */
struct schema_file {
    const char *subject, *path;
};

/* Those that the command line names. EXIT_DONE, or it was said what is wrong. */
int schema_files(struct invocation *call, const struct schema_file **files, size_t *count);

/* Reads one with what it refers to, for which `*registry` is opened. EXIT_DONE, or it was said what is wrong; `*schema`
 * is the caller's reference. */
int schema_file_read(struct invocation *call, kur_registry **registry, const char *path, kur_schema **schema);

/* What --reference says. */
static inline kur_subject_references schema_references(void)
{
    return (kur_subject_references){schema_state.references, schema_state.reference_count};
}

/* ---- Compatibility, in schema_judge.c ---- */

/* What a subject would make of a schema. */
struct schema_verdict {
    bool is_new;   /* there is no such subject yet */
    bool is_there; /* it is a version already: `known` */
    bool is_compatible;
    kur_subject_version known;
    const char *level;
    const char *reasons; /* lines: why not; or "" */
};

/* EXIT_DONE, or it was said what is wrong; schema_verdict_done in any case. */
int schema_judge(struct invocation *call, kur_registry *registry, const char *subject, kur_schema *schema,
                 struct schema_verdict *verdict);
void schema_verdict_done(struct schema_verdict *verdict);

#endif
