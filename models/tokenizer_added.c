/* tokenizer_added.c - added tokens found in text: the sorted list walked as a trie, the range of
 * those that still fit narrowed by each byte. */
#include "models/tokenizer_parts.h"

static int compare_bytes(const char *text, const struct scope_added *a, const struct scope_added *b)
{
        uint32_t common = a->bytes < b->bytes ? a->bytes : b->bytes;
        int order = memcmp(text + a->at, text + b->at, common);
        return order != 0 ? order : (int)a->bytes - (int)b->bytes;
}

void scope_added_sort(const char *text, struct scope_added_set *set)
{
        for (uint32_t i = 1; i < set->count; i++) {
                struct scope_added item = set->items[i];
                uint32_t at = i;
                for (; at > 0 && compare_bytes(text, &set->items[at - 1], &item) > 0; at--)
                        set->items[at] = set->items[at - 1];
                set->items[at] = item;
        }
        for (uint32_t byte = 0, at = 0; byte <= 256; byte++) {
                while (at < set->count && byte > (uint8_t)text[set->items[at].at])
                        at++;
                set->begin[byte] = at;
        }
}

const struct scope_added *scope_added_find(const struct scope_tokenizer *tokenizer,
        const struct scope_added_set *set, const uint8_t *at, size_t bytes)
{
        const struct scope_added *longest = NULL;
        uint32_t low = set->begin[at[0]], high = set->begin[at[0] + 1];
        for (uint32_t depth = 1; low < high; depth++) {
                if (set->items[low].bytes == depth) {
                        longest = &set->items[low];
                        while (low < high && set->items[low].bytes == depth)
                                low++;
                }
                if (depth == bytes)
                        break;
                uint32_t begin = low, end = high; /* narrow to those that go on alike */
                while (begin < end) {
                        uint32_t middle = begin + (end - begin) / 2;
                        const struct scope_added *item = &set->items[middle];
                        if ((uint8_t)tokenizer->text[item->at + depth] < at[depth])
                                begin = middle + 1;
                        else
                                end = middle;
                }
                low = begin;
                end = high;
                while (begin < end) {
                        uint32_t middle = begin + (end - begin) / 2;
                        const struct scope_added *item = &set->items[middle];
                        if ((uint8_t)tokenizer->text[item->at + depth] <= at[depth])
                                begin = middle + 1;
                        else
                                end = middle;
                }
                high = begin;
        }
        return longest;
}
