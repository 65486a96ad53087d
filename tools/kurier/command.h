/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The command line in tables: nouns, their verbs, and the options of these. From the tables come the reading of a
 * command line (command.c), --help on every level (help.c), the man page, docs/commands.md and bash's completion
 * (reference.c). So what a table does not say is not there.
 *
 * A new verb is a `struct verb` in its file and a line in its noun; a new noun is a `struct noun` and a line in
 * nouns.c. Its state is a static struct that begins with `struct invocation call`, initialised to the defaults; options
 * name members of it:
 *
 *     static struct lag {
 *         struct invocation call;
 *         int64_t every_ms;
 *     } lag = {.every_ms = 2000};
 *
 *     static const struct option own[] = {
 *         {"--every", "TIME", "how often; default 2s", OPTION_IN(DURATION, struct lag, every_ms)}, {.name = NULL}};
 *     static const struct options options = {.list = own};
 *     const struct verb lag_watch = {
 *         .name = "watch", .arguments = "[GROUP…]", .summary = "…", .about = "…", .needs_client = true,
 *         .options = {&options, &output_options, &connect_options}, .state = &lag.call, .run = run};
 *
 * Texts are plain: a blank line parts paragraphs, and lines that begin with a blank are left as they are; all others
 * are filled to the width at hand. They stand in the help, the man page and the reference alike.
 */
#ifndef KURIER_TOOLS_COMMAND_H
#define KURIER_TOOLS_COMMAND_H

#include <kurier/kurier.h>
#include <stddef.h>

#include "json.h"

/* How every command ends; scripts build on it. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_PARTIAL = 2, /* some of it was done */
    EXIT_REFUSED = 3, /* the command line is wrong, or what it asks for is not safe; nothing was done */
    EXIT_UNKNOWN = 4  /* it may have been done: the answer never came */
};

enum {
    ARGUMENTS_MAX = 256,
    PROPERTIES_MAX = 128,
    REGISTRY_PROPERTIES_MAX = 16,
    OPTION_SETS_MAX = 8
};

/* By which options a verb finds Kafka. */
struct connection {
    const char *properties_file, *bootstrap_servers;
    kur_property properties[PROPERTIES_MAX + 1]; /* ends with NULL */
    size_t property_count;
    int64_t timeout_s; /* 0: the default */
    int timeout_ms;    /* from it, in verbs that get a client */
    bool allows_clear_text, is_verbose;
    kur_log_callback *log; /* without --verbose; NULL: nobody hears of anything */
};

/* By which options a verb finds a schema registry; registry.h. */
struct registry_choice {
    const char *urls, *properties_file;
    kur_property properties[REGISTRY_PROPERTIES_MAX];
    size_t property_count;
};

/* What all verbs share; the first member of their state. */
struct invocation {
    const char *noun; /* "dlq list": for messages */
    const struct verb *verb;
    const char *arguments[ARGUMENTS_MAX + 1]; /* what is no option; ends with NULL */
    size_t argument_count;
    struct connection connection;
    struct registry_choice registry;
    enum output output;
    bool execute, unmask;
    kur_client *client; /* of verbs that need one */
    kur_arena *arena;   /* for as long as the verb runs */
};

/* How an option's value is read, and what the member is that it goes to. */
enum option_kind {
    OPTION_FLAG,     /* bool; takes no value */
    OPTION_TEXT,     /* const char * */
    OPTION_NUMBER,   /* int64_t, from `least` to `most` (0: any) */
    OPTION_DURATION, /* int64_t in milliseconds; 90s, 15m, 2h, 7d */
    OPTION_CALL      /* `read` does what is to be done */
};

struct option {
    const char *name;  /* "--limit" or "-o"; NULL ends a list */
    const char *value; /* what it takes, "N"; NULL: nothing */
    const char *help;
    enum option_kind kind;
    size_t offset; /* of the member */
    int64_t least, most;
    int (*read)(struct invocation *call, const char *value);
    size_t given;      /* offset of a bool that tells that it was given; 0: none */
    const char *needs; /* for the message when the value is wrong: "an offset"; NULL: by the kind */
    const char *words; /* values to complete, with blanks between; "FILE": names of files */
};

#define OPTION_IN(of_kind, type, member) .kind = OPTION_##of_kind, .offset = offsetof(type, member)

/* Options under a title of their own, or none. */
struct options {
    const char *title;
    const struct option *list;
};

struct verb {
    const char *name;                               /* NULL: the noun is the verb */
    const char *arguments;                          /* "[TOPIC…]"; NULL: it takes none */
    const char *summary;                            /* a phrase */
    const char *about;                              /* a text */
    const char *notes;                              /* a text behind the options, or NULL */
    const struct options *options[OPTION_SETS_MAX]; /* of two options by one name the first counts */
    bool needs_client;
    struct invocation *state;
    int (*run)(struct invocation *call); /* returns one of the above */
};

struct noun {
    const char *name;
    const char *summary;
    const char *about;
    const struct verb *const *verbs; /* ends with NULL */
    bool is_hidden;                  /* not for people: in no help and no reference */
};

extern const struct noun broker_noun, completion_noun, dlq_noun, doctor_noun, events_noun, groups_noun, inbox_noun,
    lag_noun, offsets_noun, outbox_noun, redrive_noun, reference_noun, schema_noun, top_noun, topics_noun;
extern const struct noun *const nouns[]; /* all of them, in the order of the help; ends with NULL */

/* -o; --execute; --unmask; how Kafka is found */
extern const struct options output_options, execute_options, unmask_options, connect_options;

/* Reads the command line after the noun, and runs the verb. */
int command_run(const struct noun *noun, int argc, char **argv);

/* Prints "kurier NOUN: message" and what to ask for; returns EXIT_REFUSED. */
int command_refuse(const char *noun, const char *format, ...) KUR_PRINTF(2, 3);

/* Prints "kurier NOUN: message"; returns EXIT_FAILED. */
int command_fail(const char *noun, const char *format, ...) KUR_PRINTF(2, 3);

/* Prints "kurier NOUN: the error"; EXIT_FAILED, or EXIT_REFUSED for what this broker or librdkafka does not have. */
int command_error(const char *noun, const kur_error *error);

/* Prints "kurier NOUN: message" on standard error. */
void command_note(const char *noun, const char *format, ...) KUR_PRINTF(2, 3);

/* Whether a name is among the arguments, of which one may end with * for all that begin so, or there are none. */
bool command_is_named(const struct invocation *call, const char *name);

/* Who does it, for the audit: what was given, else $USER@host in `text`. */
enum {
    COMMAND_WHO_SIZE = 256
};
const char *command_who(const char *given, char text[COMMAND_WHO_SIZE]);

/*
 * From now on messages are kept, the last of them, in place of being printed: the terminal is somebody's. `take` gets
 * it and forgets it, "" when there is none. Any thread.
 */
void command_keep_messages(void);
void command_take_message(char *text, size_t size);

/* NULL, and said why. */
kur_client *connect_client(struct invocation *call);
/* Administration with the client; likewise. */
kur_admin *connect_admin(const struct invocation *call);
/* One more client, with properties of its own over those of the command line; they end with a name of NULL. */
kur_client *connect_client_with(struct invocation *call, const kur_property *properties);

#endif
