/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share: lexer.c cuts an expression into tokens, literal.c reads those that are values,
 * parser.c makes the tree; field.c and payload.c find what a record has, value.c compares it, filter.c goes through the
 * tree. The tree lives in one arena and does not change.
 */
#ifndef KURIER_FILTER_INSIDE_H
#define KURIER_FILTER_INSIDE_H

#include <kurier/filter.h>

/* ---- Values ---- */

typedef enum kur__kind {
    KUR__NULL = 0,
    KUR__BOOLEAN = 1,
    KUR__NUMBER = 2,
    KUR__TEXT = 4,
    KUR__DURATION = 8,
    KUR__TIME = 16,
    KUR__COMPOUND = 32 /* an object or array of JSON: it is there, and equals nothing */
} kur__kind;

/* digits × 10^exponent; exact for 19 digits, what follows is cut. */
typedef struct kur__decimal {
    bool is_negative; /* not for 0 */
    uint64_t digits;
    int64_t exponent; /* 0 for 0 */
} kur__decimal;

typedef struct kur__value {
    kur__kind kind;
    bool boolean;
    bool has_escapes; /* the text is JSON's, and holds backslashes */
    kur_bytes text;
    int64_t us; /* of durations and times */
    kur__decimal number;
} kur__value;

/* Reads a number as JSON has it; NULL when there is none, else what is behind it. */
const char *kur__decimal_read(const char *at, const char *end, kur__decimal *number);
kur__decimal kur__decimal_of(int64_t number);
int kur__decimal_compare(const kur__decimal *a, const kur__decimal *b);

/* -1, 0 or 1; false where the two cannot be compared. `literal` is no pattern, and neither is null. */
bool kur__value_compare(const kur__value *value, const kur__value *literal, int *order);

/* A number, or a text that is one; null for anything else. */
kur__value kur__value_number(const kur__value *value);

/* What stands between two stars. `back[i]`: of the first i + 1 bytes the longest end, but all, that is a beginning. */
typedef struct kur__piece {
    struct kur__piece *next;
    kur_bytes text; /* empty at the front and at the end alone */
    uint16_t back[];
} kur__piece;

/* Whether a text fits: byte by byte, each looked at once. */
bool kur__pattern_fits(const kur__piece *pattern, const kur__value *value);

/* ---- Fields ---- */

typedef enum kur__field_id {
    KUR__FIELD_TOPIC,
    KUR__FIELD_PARTITION,
    KUR__FIELD_OFFSET,
    KUR__FIELD_KEY,
    KUR__FIELD_VALUE,
    KUR__FIELD_TYPE,
    KUR__FIELD_ID,
    KUR__FIELD_SOURCE,
    KUR__FIELD_SUBJECT,
    KUR__FIELD_TIME,
    KUR__FIELD_AGE,
    KUR__FIELD_CAUSE,
    KUR__FIELD_CODE,
    KUR__FIELD_MESSAGE,
    KUR__FIELD_ATTEMPT,
    KUR__FIELD_GROUP,
    KUR__FIELD_REDRIVEN,
    KUR__FIELD_REDRIVE_ID,
    KUR__FIELD_ORIGIN_TOPIC,
    KUR__FIELD_ORIGIN_PARTITION,
    KUR__FIELD_ORIGIN_OFFSET,
    KUR__FIELD_HEADER,
    KUR__FIELD_PAYLOAD,
    KUR__FIELDS
} kur__field_id;

/* A step into JSON: a member's name, or with data NULL an index. */
typedef struct kur__step {
    struct kur__step *next;
    kur_bytes name;
    uint32_t index;
} kur__step;

typedef struct kur__field {
    kur__field_id id;
    const char *header;
    const kur__step *path;
    bool is_number; /* number(…) around it */
} kur__field;

extern const struct kur__field_about {
    const char *name;
    unsigned kinds; /* of what it can be compared with, beside null */
} kur__field_list[KUR__FIELDS];

/* What a record has there; null when it is missing. Views into the record. */
kur__value kur__field_get(const kur__field *field, const kur_letter *letter, int64_t now_us);
kur__value kur__payload_find(kur_bytes json, const kur__step *path);

/* ---- The tree ---- */

typedef enum kur__node_kind {
    KUR__AND, /* all of the nodes from `first` on */
    KUR__OR,
    KUR__NOT,
    KUR__EXISTS,
    KUR__EQUAL, /* `in` is this one with several literals */
    KUR__DIFFERENT,
    KUR__LESS,
    KUR__LESS_OR_EQUAL,
    KUR__MORE,
    KUR__MORE_OR_EQUAL,
    KUR__FITS /* the pattern */
} kur__node_kind;

typedef struct kur__literal {
    struct kur__literal *next;
    kur__value value;
} kur__literal;

typedef struct kur__node {
    kur__node_kind kind;
    struct kur__node *first, *next;
    kur__field field;
    const kur__literal *literals;
    const kur__piece *pattern;
} kur__node;

struct kur_filter {
    kur_arena *arena; /* the filter lives in it */
    const char *text;
    const kur__node *root;
};

/* ---- Reading an expression ---- */

typedef enum kur__token_kind {
    KUR__TOKEN_END,
    KUR__TOKEN_WORD,
    KUR__TOKEN_QUOTED,  /* `text` is what stands between the quotes */
    KUR__TOKEN_NUMERAL, /* a number, duration or time: what begins with a digit or - */
    KUR__TOKEN_SIGN,    /* ( ) [ ] , . = == != < <= > >= ~ */
    KUR__TOKEN_NONE     /* nothing that there is */
} kur__token_kind;

typedef struct kur__token {
    kur__token_kind kind;
    kur_bytes text;
    const char *start; /* where it stands, quotes included */
} kur__token;

typedef struct kur__parser {
    const char *text, *at, *end;
    kur_arena *arena;
    kur__token token; /* the one that comes next */
    int depth, paths;
    kur_status status;
    const char *wrong; /* where */
    kur_error *error;
} kur__parser;

/* Reads the next token; false when a quoted text has no end. */
bool kur__lexer_next(kur__parser *parser);
bool kur__token_is(const kur__parser *parser, const char *text);

/* Notes what is wrong and where, unless something is already; false. */
bool kur__parser_fail(kur__parser *parser, const char *where, kur_status status, const char *format, ...)
    KUR_PRINTF(4, 5);
/* The same for the token at hand, with ", found …" behind it. */
bool kur__parser_wrong(kur__parser *parser, const char *format, ...) KUR_PRINTF(2, 3);
bool kur__parser_no_memory(kur__parser *parser);

/* The token at hand as a text, a pattern, or the value of a numeral. It stays at hand. */
bool kur__literal_text(kur__parser *parser, kur_bytes *text);
bool kur__literal_pattern(kur__parser *parser, const kur__piece **pattern);
bool kur__literal_numeral(kur__parser *parser, kur__value *value);

/* The whole expression; NULL with an error. */
const kur__node *kur__parser_run(kur__parser *parser);

#endif
