/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the nouns of the command line share. Each noun is a file with one kur_command; main.c lists them.
 */
#ifndef KURIER_TOOLS_COMMAND_H
#define KURIER_TOOLS_COMMAND_H

#include <kurier/kurier.h>

/* How every command ends; scripts build on it. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_PARTIAL = 2, /* some of it was done */
    EXIT_REFUSED = 3, /* the command line is wrong, or what it asks for is not safe; nothing was done */
    EXIT_UNKNOWN = 4  /* it may have been done: the answer never came */
};

/* A noun, such as "broker". `run` gets the arguments from the noun on and returns one of the above. */
struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

extern const struct command broker_command;
extern const struct command dlq_command;
extern const struct command doctor_command;

/* Prints "kurier NOUN: message" and what to ask for; returns EXIT_REFUSED. */
int command_refuse(const char *noun, const char *format, ...) KUR_PRINTF(2, 3);

/* Prints "kurier NOUN: message"; returns EXIT_FAILED. */
int command_fail(const char *noun, const char *format, ...) KUR_PRINTF(2, 3);

/*
 * Takes the option `name` off argv[*index] in the form "--name VALUE" or "--name=VALUE", and moves *index to its last
 * argument. True when it is that option; `*value` is NULL when the value is missing.
 */
bool command_option(int argc, char **argv, int *index, const char *name, const char **value);

#endif
