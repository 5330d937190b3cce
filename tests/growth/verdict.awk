# Reads "instructions, case, factor, bound, answer" and says how each case grows.
#
# What a step costs is compared late and early: (c16 - c4) / 12 and (c4 - c1) / 3 instructions for each base more, which
# no constant hides. They are alike where cost is linear. For n log2 n from n they are (L + 14/3) and (L + 8/3) with
# L = log2 n: for n = 8 a factor of 1.35, for n = 64 of 1.23, less above. Tables that double and blocks of the allocator
# add a little: 1.5 is allowed. n^2 alone makes 4 of it, and n^1.5 makes 2; n^2 beside what is linear is found once it
# is half as much at 16.
#
# What grows faster is bounded if at 16, or where it is largest, the error of a budget is the answer and came in time. It
# is small if at its largest, and at a half and a quarter of that, it takes less than a quarter of its budget. What is never
# read as large as 16 times its base is capped, and may take what its budget allows there.
#
# With -v list=fast the names of those that grow too fast are printed, with -v list=worst the two fastest of lints,
# reviews and searches.
BEGIN {
  FS = "\t"
  most = 1.5
  # Instructions: two seconds of a core in a release build, and a fifth of one.
  most_of_lint = 10e9; most_of_review = 1e9
}
{
  if (!($2 in seen)) { order[++cases] = $2; seen[$2] = 1 }
  cost[$2, $3] = $1; bound[$2, $3] = $4
}
function growth(name,    early, late) {
  early = (cost[name, 4] - cost[name, 1]) / 3; late = (cost[name, 16] - cost[name, 4]) / 12
  return early > 0 ? late / early : 0
}
function first(name) { sub(/ again$/, "", name); return name }
function is_fast(name) {
  return bound[name, 16] == "-" && growth(name) > most && cost[name, 16] > 2 * cost[name, 1]
}
function verdict(name) {
  if (bound[name, 16] != "-" && cost[name, 16] > (name ~ /^lint/ ? most_of_lint : most_of_review)) return "BEYOND ITS BUDGET"
  if (bound[name, 16] != "-") return bound[name, 16] == "budget" ? "bounded" : "capped"
  if (!is_fast(name)) return ""
  if (bound[first(name), "largest"] == "budget") return "bounded"
  if (bound[first(name), "largest"] == "small") return "small"
  return bound[first(name), "largest"] == "slow" ? "BEYOND ITS BUDGET" : "GROWS TOO FAST"
}
END {
  if (list == "fast") {
    for (c = 1; c <= cases; c++) if (is_fast(order[c]) && !told[first(order[c])]++) print first(order[c])
    exit
  }
  if (list == "worst") {
    split("lint review search", sides, " ")
    for (s = 1; s <= 3; s++) {
      one = two = ""
      for (c = 1; c <= cases; c++) {
        name = order[c]
        if (index(name, sides[s] " ") != 1 || name ~ / again$/ || bound[name, 16] != "-" || cost[name, 16] < 2 * cost[name, 1]) continue
        if (one == "" || growth(name) > growth(one)) { two = one; one = name }
        else if (two == "" || growth(name) > growth(two)) two = name
      }
      if (two != "") print one "\n" two
    }
    exit
  }
  printf "%-44s %8s %8s %8s %6s\n", "millions of instructions at", "1", "4", "16", "growth"
  for (c = 1; c <= cases; c++) {
    name = order[c]
    note = verdict(name)
    if (note ~ /[A-Z]/) bad++
    printf "%-44s %8.2f %8.2f %8.2f %6.2f  %s\n", name, cost[name, 1] / 1e6, cost[name, 4] / 1e6, cost[name, 16] / 1e6, growth(name), note
  }
  if (bad) { printf "%d of %d cases grow faster than n log n\n", bad, cases; exit 1 }
  printf "all %d cases grow by no more than n log n, or are bounded\n", cases
}
