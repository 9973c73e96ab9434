/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean ...?" helps with slips and keeps quiet about strangers. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/base/nearest.h"
#include "tg/def.h"

Test(nearest, finds_one_slip_and_refuses_strangers)
{
    static const char *const words[] = {"listen", "workers", "backlog", "io"};
    const size_t n = TG_ARRAY_SIZE(words);
    cr_assert_str_eq(nearest_word("lisen", words, n), "listen");
    cr_assert_str_eq(nearest_word("workres", words, n), "workers");
    cr_assert_str_eq(nearest_word("bakclog", words, n), "backlog");
    cr_assert_str_eq(nearest_word("oi", words, n), "io");
    cr_assert_str_eq(nearest_word("listen", words, n), "listen");
    cr_assert_null(nearest_word("timeout", words, n));
    cr_assert_null(nearest_word("", words, n));
    cr_assert_null(nearest_word("x", words, n));
    cr_assert_null(nearest_word("listen", words, 0));
}

Test(nearest, prefers_the_closest_and_counts_a_swap_once)
{
    static const char *const words[] = {"abcdxx", "abdc", "abce"};
    cr_assert_str_eq(nearest_word("abcd", words, 2), "abdc");
    cr_assert_str_eq(nearest_word("abcd", words, 3), "abdc", "the first of equals");
}

Test(nearest, leaves_overlong_words_alone)
{
    char word[200], longest[65];
    memset(word, 'a', sizeof word);
    word[sizeof word - 1] = 0;
    memset(longest, 'a', sizeof longest);
    longest[64] = 0;
    const char *const words[] = {word, longest};
    cr_assert_null(nearest_word(word, words, 2));
    cr_assert_eq(nearest_word(longest, words, 2), longest);
}
