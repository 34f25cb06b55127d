/** Finds the name that was probably meant by an unknown name. */

/**
 * Returns the end of a text about an unknown name. It asks "did you mean" if a known name is
 * similar, and ends with `rest`, which begins without a capital letter.
 */
export function didYouMean(name: string, known: readonly string[], rest: string): string {
  const plain = plainOf(name);
  const meant = known.find((k) => plainOf(k) === plain) ?? known.find((k) => isTypo(plain, plainOf(k)));
  return meant === undefined
    ? `; ${rest}`
    : `; did you mean "${meant}"? ${rest.charAt(0).toUpperCase()}${rest.slice(1)}`;
}

function plainOf(name: string): string {
  return name.toLowerCase().replaceAll("_", "");
}

/**
 * Whether one letter is missing, added or replaced, or two are swapped. It returns false for short
 * names, which are too similar to each other.
 */
function isTypo(name: string, known: string): boolean {
  if (Math.max(name.length, known.length) < 4) {
    return false;
  }
  let [a, b] = [name, known];
  while (a && b && a[0] === b[0]) {
    [a, b] = [a.slice(1), b.slice(1)];
  }
  while (a && b && a.at(-1) === b.at(-1)) {
    [a, b] = [a.slice(0, -1), b.slice(0, -1)];
  }
  return (
    (a.length <= 1 && b.length <= 1) || (a.length === 2 && a[0] === b[1] && a[1] === b[0] && b.length === 2)
  );
}
