"""People sign in and out, and a page that does not exist says so."""

import re

import pytest
from playwright.async_api import expect

from amd_service.domain import Role
from tests.support.accessibility import assert_accessible, assert_accessible_everywhere
from tests.support.visits import Visits, sign_in

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_person_signs_in_and_out(guarded_visits: Visits) -> None:
    page = await guarded_visits.open("/sign-in", allowed=["status of 401"])
    await sign_in(page, "reviewer", "a wrong password")
    await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    await assert_accessible(page)
    await sign_in(page, "reviewer")
    await expect(page.get_by_role("banner")).to_contain_text("reviewer")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/sign-in$"))


async def test_a_page_leads_to_the_sign_in_and_back(guarded_visits: Visits) -> None:
    page = await guarded_visits.open("/calls?label=human")
    await expect(page).to_have_url(re.compile(r"/sign-in\?next="))
    await page.get_by_label("Name").fill("viewer")
    await page.get_by_label("Password").fill("a long enough password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile(r"/calls\?label=human$"))


async def test_the_sign_in_account_and_problem_pages_are_accessible(guarded_visits: Visits) -> None:
    page = await guarded_visits.open("/sign-in")
    await assert_accessible_everywhere(page)
    page = await guarded_visits.open("/account", role=Role.VIEWER)
    await expect(page.get_by_label("New password again")).to_be_visible()
    await assert_accessible_everywhere(page)
    page = await guarded_visits.open("/nothing-here", role=Role.VIEWER, allowed=["status of 404"])
    await expect(page.get_by_role("heading")).to_have_text("Not Found")
    await assert_accessible_everywhere(page)
