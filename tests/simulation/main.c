/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static void usage(FILE *to)
{
    fputs("usage: simulation [--seeds N] [--from K] [--steps N] [--without FAULT,…] [--trace] [--first] [--check]\n\n"
          "Plays the listener's decisions against a broker and a group that fail in every way, one run a seed.\n\n"
          "  --seeds N     how many (default 2000), from --from K (default 1)\n"
          "  --steps N     how long each is (default 900)\n"
          "  --without F   leaves faults out, of:",
          to);
    for (int i = 0; i < FAULT_COUNT; i++)
        fprintf(to, " %s", fault_names[i]);
    fputs("\n  --trace       tells every step of the first seed and ends\n"
          "  --check       says at the end what script/test adds up\n"
          "  --first       ends at the first seed that fails\n\n"
          "A seed that fails is printed with the shortest run that shows it. Exit 1 when one fails.\n",
          to);
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text != NULL ? text : "", &end, 10);
    return errno == 0 && text != NULL && text[0] != '\0' && text[0] != '-' && *end == '\0';
}

static bool read_faults(const char *text, uint64_t *without)
{
    char copy[400], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text != NULL ? text : "?");
    for (char *name = strtok_r(copy, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
        int i = 0;
        while (i < FAULT_COUNT && strcmp(fault_names[i], name) != 0)
            i++;
        if (i == FAULT_COUNT)
            return false;
        *without |= UINT64_C(1) << i;
    }
    return true;
}

static bool fails(struct world *world, const struct settings *settings)
{
    world_run(world, settings);
    bool failed = world->checker.failed;
    world_free(world);
    return failed;
}

/* Fewer faults, then fewer steps, as long as some rule is still broken. */
static void shrink(struct world *world, struct settings *settings)
{
    for (int i = 0; i < FAULT_COUNT; i++) {
        struct settings fewer = *settings;
        fewer.without |= UINT64_C(1) << i;
        if (fails(world, &fewer))
            *settings = fewer;
    }
    for (int less = settings->steps / 2; less > 0; less /= 2)
        while (settings->steps > less) {
            struct settings shorter = *settings;
            shorter.steps -= less;
            if (!fails(world, &shorter))
                break;
            *settings = shorter;
        }
}

static void report(struct world *world, struct settings settings)
{
    world_run(world, &settings);
    printf("seed %llu breaks the rule %s: %s\n", (unsigned long long)settings.seed, rule_names[world->checker.broken],
           world->checker.why);
    world_free(world);
    shrink(world, &settings);
    printf("  replay: simulation --seeds 1 --from %llu --steps %d", (unsigned long long)settings.seed, settings.steps);
    const char *separator = " --without ";
    for (int i = 0; i < FAULT_COUNT; i++)
        if ((settings.without >> i & 1) != 0) {
            printf("%s%s", separator, fault_names[i]);
            separator = ",";
        }
    world_run(world, &settings);
    printf(" --trace\n  which breaks the rule %s: %s\n", rule_names[world->checker.broken], world->checker.why);
    world_free(world);
    fflush(stdout);
}

/* ---- What the seeds held ---- */

struct tally {
    int *records, *rebalances, *crashes, *partitions;
    int rules[RULE_COUNT], faults[FAULT_COUNT], commands[COMMANDS_MAX];
};

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int median(int *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static void count_in(struct tally *tally, const struct world *world, int index)
{
    tally->records[index] = world->records;
    tally->rebalances[index] = world->rebalances;
    tally->crashes[index] = world->crashes;
    tally->partitions[index] = world->partitions;
    for (int i = 0; i < RULE_COUNT; i++)
        tally->rules[i] += world->checker.looked[i] > 0;
    for (int i = 0; i < FAULT_COUNT; i++)
        tally->faults[i] += world->happened[i] > 0;
    for (int i = 0; i < COMMANDS_MAX; i++)
        tally->commands[i] += world->commands[i] > 0;
}

static void print_shares(const char *what, const int *counts, const char *const *names, int size, int seeds)
{
    printf("%s in %% of the seeds:", what);
    for (int i = 0; i < size; i++)
        printf(" %s %d", names[i], (int)(100.0 * counts[i] / seeds));
    printf("\n");
}

static void print_tally(struct tally *tally, int seeds)
{
    static const char *const commands[] = {"run",    "effect", "commit", "no room", "release", "forward",
                                           "unseen", "move",   "dead",   "follow",  "drop"};
    printf("the median seed holds %d records, %d partitions, %d rebalances, %d crashes\n",
           median(tally->records, seeds), median(tally->partitions, seeds), median(tally->rebalances, seeds),
           median(tally->crashes, seeds));
    print_shares("rules", tally->rules, rule_names, RULE_COUNT, seeds);
    print_shares("faults", tally->faults, fault_names, FAULT_COUNT, seeds);
    print_shares("commands", tally->commands, commands, COMMANDS_MAX, seeds);
}

static int least_of(const int *counts, int size)
{
    int least = counts[0];
    for (int i = 1; i < size; i++)
        least = counts[i] < least ? counts[i] : least;
    return least;
}

/* Whether the seeds say something of what they are meant to: rules that nothing has come to are kept by anybody. */
static bool holds_enough(struct tally *tally, int seeds)
{
    const int share = seeds / 20; /* 5 % */
    return median(tally->records, seeds) >= 500 && median(tally->partitions, seeds) >= 4 &&
           median(tally->rebalances, seeds) >= 3 && median(tally->crashes, seeds) >= 1 &&
           least_of(tally->rules, RULE_COUNT) >= share && least_of(tally->faults, FAULT_COUNT) >= share &&
           least_of(tally->commands, COMMANDS_MAX) >= share;
}

int main(int argc, char **argv)
{
    struct settings settings = {.steps = 900};
    uint64_t seeds = 2000, from = 1, steps = 900;
    bool first = false, check = false;
    for (int i = 1; i < argc; i++) {
        bool ok = true;
        if (strcmp(argv[i], "--seeds") == 0)
            ok = read_number(argv[++i], &seeds);
        else if (strcmp(argv[i], "--from") == 0)
            ok = read_number(argv[++i], &from);
        else if (strcmp(argv[i], "--steps") == 0)
            ok = read_number(argv[++i], &steps);
        else if (strcmp(argv[i], "--without") == 0)
            ok = read_faults(argv[++i], &settings.without);
        else if (strcmp(argv[i], "--trace") == 0)
            settings.trace = true;
        else if (strcmp(argv[i], "--check") == 0)
            check = true;
        else if (strcmp(argv[i], "--first") == 0)
            first = true;
        else
            ok = false;
        if (!ok || seeds == 0 || seeds > 100000000 || steps == 0 || steps > 100000) {
            bool asked = strcmp(argv[i < argc ? i : argc - 1], "--help") == 0;
            usage(asked ? stdout : stderr);
            return asked ? 0 : 2;
        }
    }
    settings.steps = (int)steps;
    struct world *world = calloc(1, sizeof *world);
    struct tally tally = {.records = calloc(seeds, sizeof(int)),
                          .rebalances = calloc(seeds, sizeof(int)),
                          .crashes = calloc(seeds, sizeof(int)),
                          .partitions = calloc(seeds, sizeof(int))};
    if (world == NULL || tally.records == NULL || tally.rebalances == NULL || tally.crashes == NULL ||
        tally.partitions == NULL)
        return 2;
    int failed = 0, played = 0, spent = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        settings.seed = from + i;
        world_run(world, &settings);
        bool is_bad = world->checker.failed;
        spent += world_is_spent(world);
        count_in(&tally, world, (int)i);
        world_free(world);
        played++;
        if (is_bad && ++failed <= 3 && !settings.trace)
            report(world, settings);
        if (settings.trace && is_bad)
            printf("the rule %s: %s\n", rule_names[world->checker.broken], world->checker.why);
        if (settings.trace || (first && failed > 0))
            break;
    }
    print_tally(&tally, played);
    bool is_worth = !check || holds_enough(&tally, played);
    if (check)
        printf("# simulation: %d passed, %d failed, 0 skipped\n", failed == 0 && is_worth, failed > 0 || !is_worth);
    if (spent > 0)
        printf("%d seeds not played to their end: too many records are moved about\n", spent);
    printf("%d seeds, %d failed\n", played, failed);
    free(tally.records);
    free(tally.rebalances);
    free(tally.crashes);
    free(tally.partitions);
    free(world);
    return failed > 0 || !is_worth ? 1 : 0;
}
