# Reads "instructions, case, factor, bound, answer" and says how each case grows.
#
# What a step costs is compared late and early: (c16 - c4) / 12 and (c4 - c1) / 3 instructions for each base more, which
# no constant hides. They are alike where cost is linear. For n log2 n from n they are (L + 14/3) and (L + 8/3) with
# L = log2 n: for n = 8 a factor of 1.35, for n = 64 of 1.23, less above. Tables that double and blocks of the allocator
# add a little: 1.5 is allowed. n^2 alone makes 4 of it, and n^1.5 makes 2; n^2 beside what is linear is found once it
# is half as much at 16.
#
# A case whose answer at 16 is the error of a budget is bounded, if it took less than the budget is worth. So is one of
# which 16 times its base is more than is ever read.
#
# With -v worst=2 the names of the two that grow fastest are printed for lints, reviews and searches, to be counted
# together.
BEGIN {
  FS = "\t"
  most = 1.5
  most_bounded = 12e9 # instructions: two seconds of a core in a release build
}
{
  if (!($2 in seen)) { order[++cases] = $2; seen[$2] = 1 }
  cost[$2, $3] = $1; bound[$2, $3] = $4
}
function growth(name,    early, late) {
  early = (cost[name, 4] - cost[name, 1]) / 3; late = (cost[name, 16] - cost[name, 4]) / 12
  return early > 0 ? late / early : 0
}
END {
  if (worst) {
    split("lint review search", sides, " ")
    for (s = 1; s <= 3; s++) {
      first = second = ""
      for (c = 1; c <= cases; c++) {
        name = order[c]
        if (index(name, sides[s] " ") != 1 || name ~ / again$/ || bound[name, 16] != "-") continue
        if (first == "" || growth(name) > growth(first)) { second = first; first = name }
        else if (second == "" || growth(name) > growth(second)) second = name
      }
      if (second != "") print first "\n" second
    }
    exit
  }
  printf "%-44s %8s %8s %8s %6s\n", "millions of instructions at", "1", "4", "16", "growth"
  for (c = 1; c <= cases; c++) {
    name = order[c]
    note = ""
    if (bound[name, 16] == "budget") note = cost[name, 16] > most_bounded ? "BEYOND ITS BUDGET" : "bounded"
    else if (bound[name, 16] == "capped") note = "capped"
    else if (growth(name) > most && cost[name, 16] > 2 * cost[name, 1]) note = "GROWS TOO FAST"
    if (note ~ /[A-Z]/) bad++
    printf "%-44s %8.2f %8.2f %8.2f %6.2f  %s\n", name, cost[name, 1] / 1e6, cost[name, 4] / 1e6, cost[name, 16] / 1e6, growth(name), note
  }
  if (bad) { printf "%d of %d cases grow faster than n log n\n", bad, cases; exit 1 }
  printf "all %d cases grow by no more than n log n\n", cases
}
