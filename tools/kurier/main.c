/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The command line: `kurier NOUN VERB …`; nouns.c lists what there is.
 */
#include <stdio.h>
#include <string.h>

#include "help.h"

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        help_all();
        return name != NULL ? EXIT_DONE : EXIT_REFUSED;
    }
    if (strcmp(name, "--version") == 0) {
        printf("kurier %s\n", kur_version());
        return EXIT_DONE;
    }
    for (size_t i = 0; nouns[i] != NULL; i++)
        if (strcmp(name, nouns[i]->name) == 0)
            return command_run(nouns[i], argc - 2, argv + 2);
    return command_refuse(NULL, "there is no noun \"%.40s\"", name);
}
