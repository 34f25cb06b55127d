/** Guesses which name was meant by one that does not exist. */

/**
 * Returns how the text about a name goes on that does not exist: with a question, if a known name
 * differs little, and then with the rest, which is a sentence without its capital letter.
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
 * Says whether one letter is missing, too many or another one, or two are swapped. Short names are
 * too similar to say.
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
