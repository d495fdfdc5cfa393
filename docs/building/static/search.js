/* Pagefind wants all words of a query on one page. People ask questions: each word that tells something is searched for
   on its own, and a page is the better the more of them it has, and the fewer pages have them. */

const TOLD_BY_ALL = new Set(
  `a about am an and any are as at be been but by can could did do does for from get had has have how i if in into is it its
  let may me might must my need no not of on one only or our out put shall should so some than that the their them then there
  these they this to too up use used using want was we were what when where which while who whom whose why will with without
  would you your`.split(/\s+/)
)
const SHOWN = 12
const PAGES = 40 // about as many as there are; what few of them have weighs more
const TITLED = 1.6 // what a page gains by a word that is in its title

const pagefind = await import(new URL('../pagefind/pagefind.js', import.meta.url))
await pagefind.options({ ranking: { termSaturation: 0.8 } })
const asked = new URLSearchParams(location.search).get('q') ?? ''
const summary = document.getElementById('search-summary')
const list = document.getElementById('search-results')

function wordsOf(query) {
  const words = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}_.'$-]+/gu) ?? [])]
  const telling = words.filter(word => !TOLD_BY_ALL.has(word))
  return telling.length ? telling : words
}

/** The pages that answer a query, best first. */
export async function search(query) {
  const words = wordsOf(query)
  const found = new Map()
  for (const word of words) {
    const { results } = await pagefind.search(word)
    for (const result of results) {
      const page = found.get(result.id) ?? { result, score: 0, best: 0 }
      const gained = result.score * Math.log(1 + PAGES / results.length) ** 2
      page.score += gained
      if (gained > page.best) Object.assign(page, { result, best: gained })
      found.set(result.id, page)
    }
  }
  const pages = await Promise.all([...found.values()].map(async page => ({ ...page, data: await page.result.data() })))
  for (const page of pages) page.score *= TITLED ** words.filter(word => isIn(word, page.data.meta.title)).length
  return pages.sort((one, other) => other.score - one.score).slice(0, SHOWN).map(page => page.data)
}

function isIn(word, title) {
  return title.toLowerCase().includes(word.replace(/(s|ed|ing)$/, ''))
}

function show(page) {
  const item = document.createElement('li')
  const link = document.createElement('a')
  link.href = (page.sub_results[0] ?? page).url
  link.textContent = page.meta.title
  const excerpt = document.createElement('p')
  excerpt.innerHTML = page.excerpt // Pagefind's own: the words of the page, escaped, and <mark>
  item.append(link, excerpt)
  list.append(item)
}

for (const field of document.querySelectorAll('input[name=q]')) field.value = asked
if (asked) {
  const pages = await search(asked)
  pages.forEach(show)
  summary.textContent = pages.length ? `${asked}: ${pages.length} pages` : `${asked}: no page has any of these words`
}
document.documentElement.dataset.searched = 'yes'
