/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The command line: `kurier NOUN …`. A new noun is a file beside this one and a line in `commands`.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"

static const struct command *const commands[] = {&broker_command, &dlq_command, &doctor_command};

static void help(void)
{
    printf("usage: kurier NOUN [OPTION…]\n"
           "       kurier NOUN --help\n"
           "\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        printf("  %-10s  %s\n", commands[i]->name, commands[i]->summary);
    printf("\n"
           "  --help      print this\n"
           "  --version   print the version of the library\n"
           "\n"
           "Exit status: 0 done, 1 failed, 2 done in part, 3 refused and nothing was done, 4 not known whether it was "
           "done;\ndoctor has its own.\n");
}

int main(int argc, char **argv)
{
    const char *noun = argc > 1 ? argv[1] : NULL;
    if (noun == NULL || strcmp(noun, "--help") == 0 || strcmp(noun, "-h") == 0 || strcmp(noun, "help") == 0) {
        help();
        return noun != NULL ? EXIT_DONE : EXIT_REFUSED;
    }
    if (strcmp(noun, "--version") == 0) {
        printf("kurier %s\n", kur_version());
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(noun, commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    return command_refuse(NULL, "there is no noun \"%.40s\"", noun);
}
