/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A fake registry for scripts: `answering FILE` answers what the file says, a "METHOD /path CODE BODY" a line, in which
 * a WAY of fake_registry.h may stand before the method ("silent GET /subjects"). Prints its URL, then, once it is told
 * to by a line on standard input, how often a request was asked, or for "last" the last one. Ends with its input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fake_registry.h"

static enum fake_way take_way(char **line)
{
    static const struct {
        const char *name;
        enum fake_way way;
    } ways[] = {
        {"truncated ", FAKE_TRUNCATED}, {"silent ", FAKE_SILENT}, {"echo ", FAKE_ECHO}, {"closes ", FAKE_CLOSES}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strncmp(*line, ways[i].name, strlen(ways[i].name)) == 0) {
            *line += strlen(ways[i].name);
            return ways[i].way;
        }
    return FAKE_GOOD;
}

/* The line stays: what it says is borrowed. */
static void take_line(struct fake *fake, char *line)
{
    enum fake_way way = take_way(&line);
    char *path = strchr(line, ' '), *code = path != NULL ? strchr(path + 1, ' ') : NULL;
    char *body = code != NULL ? strchr(code + 1, ' ') : NULL;
    if (body == NULL)
        return;
    *code = *body = '\0';
    fake_tell(fake, line, way, atoi(code + 1), NULL, body + 1);
}

int main(int argc, char **argv)
{
    static char *lines[1000];
    size_t size = 0, count = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (file == NULL)
        return 2;
    struct fake *fake = fake_start();
    for (; count < 1000 && getline(&lines[count], &size, file) > 0; count++, size = 0) {
        lines[count][strcspn(lines[count], "\n")] = '\0';
        take_line(fake, lines[count]);
    }
    fclose(file);
    printf("%s\n", fake_url(fake));
    fflush(stdout);
    char line[512], last[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        fake_last(fake, last);
        if (strcmp(line, "last") == 0)
            printf("%s\n", last);
        else
            printf("%d\n", fake_count(fake, line));
        fflush(stdout);
    }
    fake_stop(fake);
    for (size_t i = 0; i <= count && i < 1000; i++)
        free(lines[i]);
    return 0;
}
